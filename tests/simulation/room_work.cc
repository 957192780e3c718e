// SPDX-License-Identifier: BSD-3-Clause
//
// The administrator of a store that is full: says what is to be done then, holds and releases snapshots, gives them
// priorities, and enlarges the store. When the faults are over, either there is room for all, or all is deleted: those
// who wait must go on.
#include "metaserver/store/engine.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <tuple>

namespace csnap::simulation {
namespace {

constexpr nanoseconds answer_patience = 30 * second;
using existence = judge::existence;
using held = judge::known_snapshot::held;
using name_key = std::pair<std::uint32_t, std::string>;

unique_id request_id_from(prng &chance) {
  unique_id id;
  for (std::size_t half = 0; half < 2; ++half) {
    const std::uint64_t bits = chance.next();
    for (std::size_t i = 0; i < 8; ++i) id.bytes[8 * half + i] = static_cast<std::byte>(bits >> (8 * i));
  }
  return id;
}

wire::snapshot_pair pair_of(const name_key &name) { return {name.first == 1 ? "a" : "b", name.second}; }

struct room_keeper {
  cluster &c;
  prng chance;

  std::vector<name_key> idle() const {
    std::vector<name_key> out;
    for (const auto &[key, known] : c.judged->names)
      if (!known.busy && known.exists == existence::yes) out.push_back(key);
    return out;
  }

  void set_policy() {
    const auto volume = static_cast<std::uint32_t>(chance.between(1, c.options.volumes));
    const auto policy = static_cast<full_policy>(chance.between(1, 3));
    auto &possible = c.judged->policies[volume];
    possible.insert(policy);
    ++c.judged->policy_changes;
    c.judged->note_what_may_be_given_up();
    wire::set_volume what;
    what.request = request_id_from(chance);
    what.volume = volume == 1 ? "a" : "b";
    what.when_full = policy;
    if (!c.admin->call(what, answer_patience)) return;
    sometimes(probe::policy_set);
    possible = {policy};
  }

  void set_priority(const name_key &name) {
    wire::set_snapshot what;
    what.request = request_id_from(chance);
    what.snapshot = pair_of(name);
    what.priority = static_cast<std::uint32_t>(chance.between(-2, 2));
    sometimes(probe::priority_set, c.admin->call(what, answer_patience).has_value());
  }

  // A snapshot may be given up until its hold is known, and from when its release is asked for.
  void hold(const name_key &name) {
    wire::hold what;
    what.request = request_id_from(chance);
    what.snapshot = pair_of(name);
    what.tag = "kept";
    auto &known = c.judged->names[name];
    known.busy = true;
    known.is_held = held::unknown;
    const auto answer = c.admin->call(what, answer_patience);
    known.busy = false;
    if (answer) {
      sometimes(probe::held);
      known.is_held = held::yes;
    } else if (answer.error().code == errc::not_found && !known.may_be_given_up) {
      c.judged->wrong("catalog", "a snapshot that was made cannot be held: " + answer.error().text);
    }
  }

  void release(const name_key &name) {
    auto &known = c.judged->names[name];
    known.busy = true;
    known.is_held = held::unknown;
    c.judged->note_what_may_be_given_up();
    wire::release what;
    what.request = request_id_from(chance);
    what.snapshot = pair_of(name);
    what.tag = "kept";
    const auto answer = c.admin->call(what, answer_patience);
    known.busy = false;
    if (!answer) return;
    sometimes(probe::released);
    known.is_held = held::no;
  }

  // True: the store has so many chunks more.
  bool enlarge(std::uint64_t chunks) {
    disk_image &image = c.store->image;
    image.enlarge(image.size_bytes() + chunks * c.options.chunk_bytes);
    const bool others_are_busy = c.busy_threads > 1;
    const auto answer = c.admin->call(wire::resize{}, answer_patience);
    if (!answer) return false;
    sometimes(probe::enlarged);
    sometimes(probe::enlarged_under_load, others_are_busy);
    return true;
  }

  void one_thing() {
    const auto all = idle();
    const auto kind = chance.below(20);
    if (kind < 3 && !c.options.keeps_all) return set_policy();
    if (kind < 4) return (void)enlarge(static_cast<std::uint64_t>(chance.between(1, 3)));
    if (all.empty()) return;
    const name_key name = chance.pick(all);
    const bool is_held = c.judged->names[name].is_held != held::no;
    if (kind < 10) set_priority(name);
    else if (is_held) release(name);
    else hold(name);
  }
};

// Two answers to it: more room than can be needed, or nothing that needs any.
void make_room(cluster &c, prng &chance) {
  room_keeper keeper{c, chance};
  const std::uint64_t chunks = c.options.volumes * (c.volume_bytes() / c.options.chunk_bytes + 1);
  const bool deletes = chance.one_in(2) && !c.options.keeps_all;
  for (int attempt = 0; !deletes && attempt < 20; ++attempt)
    if (keeper.enlarge(chunks * (c.judged->names.size() + 2) + 200)) return;
  if (!release_all(c)) return;
  std::vector<wire::snapshot_entry> all;
  if (!list_all(c, &all)) return;
  for (const auto &entry : all) {
    const name_key name{entry.volume.value, entry.name};
    if (entry.state == 1 && !c.judged->names[name].busy) (void)remove_snapshot(c, name);
  }
}

}  // namespace

void start_room_keeper(cluster &c) {
  c.tool_process->start([&c] {
    room_keeper keeper{c, c.w.stream("room keeper")};
    while (!c.is_healed && !c.judged->failed()) {
      c.w.sleep(keeper.chance.between(0, 4 * c.options.pause_between_tools));
      if (c.is_healed) break;
      ++c.busy_threads;
      keeper.one_thing();
      --c.busy_threads;
    }
  });
}

void make_room_for_all(cluster &c) {
  ++c.busy_threads;
  c.tool_process->start([&c] {
    prng chance = c.w.stream("room for all");
    make_room(c, chance);
    --c.busy_threads;
  });
}

bool release_all(cluster &c) {
  // A hold that is under way may come after.
  const auto is_busy = [](const auto &name) { return name.second.busy; };
  while (std::any_of(c.judged->names.begin(), c.judged->names.end(), is_busy) && !c.judged->failed())
    c.w.sleep(5 * millisecond);
  prng chance = c.w.stream("release all");
  for (int attempt = 0; attempt < 20; ++attempt) {
    std::vector<wire::snapshot_entry> all;
    if (!list_all(c, &all)) continue;
    bool any = false;
    for (const auto &entry : all)
      for (const auto &hold : entry.holds) {
        any = true;
        wire::release what;
        what.request = request_id_from(chance);
        what.snapshot = pair_of({entry.volume.value, entry.name});
        what.tag = hold.tag;
        (void)c.admin->call(what, answer_patience);
      }
    if (any) continue;
    for (auto &[name, known] : c.judged->names) known.is_held = held::no;
    c.judged->note_what_may_be_given_up();
    return true;
  }
  return false;
}

// The servers' own word on what they gave up, at the moment when they did.
void check_given_up(cluster &c, const store::engine &engine, bool one_was) {
  const auto rank = [](const store::snapshot_info &s) { return std::tuple(s.priority, s.number, s.volume); };
  const store::snapshot_info *chosen = nullptr;
  for (const auto &[volume, info] : engine.volumes())
    for (const auto &[number, s] : engine.snapshots(volume)) {
      if (!s.sacrificed || !c.given_up.insert({volume.value, number.value}).second || !one_was) continue;
      chosen = &s;
      sometimes(probe::given_up);
      if (info.when_full != full_policy::origin_first)
        c.judged->wrong("given up", s.name + " is of a volume whose snapshots are to stay");
      if (!s.holds.empty()) c.judged->wrong("given up", s.name + " is held");
    }
  for (const auto &[volume, info] : engine.volumes())
    for (const auto &[number, s] : engine.snapshots(volume)) {
      const bool may_go = info.when_full == full_policy::origin_first && s.holds.empty() &&
                          s.state == store::snapshot_state::live;
      if (chosen != nullptr && may_go && rank(s) < rank(*chosen))
        c.judged->wrong("given up", chosen->name + " is given up before " + s.name);
    }
}

}  // namespace csnap::simulation
