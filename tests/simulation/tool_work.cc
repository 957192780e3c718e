// SPDX-License-Identifier: BSD-3-Clause
//
// What the administrator does: makes, renames, deletes and lists snapshots. Each name is used once, so that
// what became of it can be told from its fate.
#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {
namespace {

constexpr nanoseconds patience = 30 * second;
constexpr std::size_t kept_max = 6;  // where all are kept
using existence = judge::existence;

unique_id some_id(prng &chance) {
  unique_id id;
  const std::uint64_t bits = chance.next();
  for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::byte>(bits >> (8 * i));
  return id;
}

const char *volume_name(std::uint32_t volume) { return volume == 1 ? "a" : "b"; }

// Refusals that leave nothing behind.
bool is_clear_refusal(errc code) {
  return code == errc::busy || code == errc::timed_out || code == errc::no_space || code == errc::refused;
}

void rename_one(cluster &c, prng &chance, const std::pair<std::uint32_t, std::string> &name,
                unsigned number) {
  auto &names = c.judged->names;
  const std::pair<std::uint32_t, std::string> renamed{name.first, "r" + std::to_string(number)};
  names[name].busy = names[renamed].busy = true;
  names[name].is_going = true;
  names[renamed].is_going = true;
  wire::rename what;
  what.request = some_id(chance);
  what.snapshot = {volume_name(name.first), name.second};
  what.new_name = renamed.second;
  const auto answer = c.admin->call(what, patience);
  auto &from = names[name], &to = names[renamed];
  from.busy = to.busy = false;
  if (answer) {
    sometimes(probe::renamed);
    ++c.judged->count.renamed;
    to = from;
    from.exists = existence::no;
    to.is_going = false;
  } else if (is_clear_refusal(answer.error().code)) {
    to.exists = existence::no;
    from.is_going = false;
  } else if (answer.error().code == errc::not_found && from.may_be_given_up) {
    to.exists = from.exists = existence::no;
  } else if (answer.error().code == errc::shutting_down) {
    to.exists = from.exists = existence::unknown;
    to.number = from.number;
    to.is_held = from.is_held;
    to.may_be_given_up = from.may_be_given_up;
  } else {
    c.judged->wrong("catalog", "a rename failed: " + answer.error().text);
  }
}

}  // namespace

result<> make_snapshot(cluster &c, prng &chance, bool group, std::string *made) {
  auto &names = c.judged->names;
  const std::string name = "s" + std::to_string(names.size() + 1);
  wire::create what;
  what.request = some_id(chance);
  std::vector<std::uint32_t> volumes;
  if (group && c.options.volumes > 1) volumes = {1, 2};
  else volumes = {static_cast<std::uint32_t>(chance.between(1, c.options.volumes))};
  for (const auto v : volumes) {
    what.members.push_back({volume_name(v), name});
    names[{v, name}].busy = true;
  }
  c.judged->note_what_may_be_given_up();
  const auto answer = c.admin->call(what, patience);
  for (const auto v : volumes) names[{v, name}].busy = false;
  if (!answer) {
    const errc code = answer.error().code;
    const bool clear = is_clear_refusal(code);
    sometimes(probe::create_was_busy, code == errc::busy);
    sometimes(probe::create_timed_out, code == errc::timed_out);
    for (const auto v : volumes) names[{v, name}].exists = clear ? existence::no : existence::unknown;
    if (!clear && code != errc::shutting_down)
      c.judged->wrong("catalog", "a create failed: " + answer.error().text);
    return answer.error();
  }
  const auto number = std::get<wire::created>(*answer).number;
  ++c.judged->count.snapshots;
  sometimes(volumes.size() > 1 ? probe::created_group : probe::created);
  for (const auto v : volumes) {
    auto &known = names[{v, name}];
    known.exists = existence::yes;
    known.number = number;
    c.judged->snapshot_is_known(volume_id{v}, number);
  }
  *made = name;
  return {};
}

result<> remove_snapshot(cluster &c, const std::pair<std::uint32_t, std::string> &name) {
  prng chance = c.w.stream("remove" + name.second + std::to_string(name.first));
  auto &known = c.judged->names[name];
  known.busy = known.is_going = true;
  wire::remove what;
  what.request = some_id(chance);
  what.snapshot = {volume_name(name.first), name.second};
  const auto answer = c.admin->call(what, patience);
  known.busy = false;
  if (answer) {
    if (known.is_held == judge::known_snapshot::held::yes)
      c.judged->wrong("catalog", "a snapshot that is held was deleted");
    sometimes(probe::removed);
    ++c.judged->count.removed;
    known.exists = existence::no;
    return {};
  }
  const errc code = answer.error().code;
  if (code == errc::not_found && (known.exists != existence::yes || known.may_be_given_up)) {
    known.exists = existence::no;
    return {};
  }
  const bool is_held = known.is_held != judge::known_snapshot::held::no;
  sometimes(probe::delete_of_held_refused, is_held && code == errc::refused);
  if (code == errc::shutting_down) known.exists = existence::unknown;
  else if (!is_clear_refusal(code)) c.judged->wrong("catalog", "a delete failed: " + answer.error().text);
  return answer.error();
}

namespace {

using name_key = std::pair<std::uint32_t, std::string>;

void remove_some(cluster &c, prng &chance, const std::vector<name_key> &idle) {
  const auto number = [&](const name_key &name) { return c.judged->names.at(name).number; };
  std::vector<name_key> may_go;
  for (const name_key &name : idle) {
    const bool has_older = std::any_of(idle.begin(), idle.end(), [&](const name_key &other) {
      return other.first == name.first && number(other) < number(name);
    });
    if (has_older || !c.options.keeps_oldest) may_go.push_back(name);
  }
  if (!may_go.empty()) (void)remove_snapshot(c, chance.pick(may_go));
}

}  // namespace

void remove_newest(cluster &c, volume_id volume) {
  std::vector<name_key> all;
  for (const auto &[key, known] : c.judged->names)
    if (key.first == volume.value && !known.busy && known.exists == existence::yes) all.push_back(key);
  if (all.size() < 2) return;
  const name_key newest = *std::max_element(all.begin(), all.end(), [&](const auto &a, const auto &b) {
    return c.judged->names.at(a).number < c.judged->names.at(b).number;
  });
  ++c.busy_threads;
  c.judged->names[newest].busy = true;
  c.tool_process->start([&c, newest] {
    (void)remove_snapshot(c, newest);
    --c.busy_threads;
  });
}

bool list_all(cluster &c, std::vector<wire::snapshot_entry> *all) {
  wire::list what;
  for (;;) {
    const auto answer = c.admin->call(what, patience);
    if (!answer) return false;
    const auto &page = std::get<wire::list_reply>(*answer);
    all->insert(all->end(), page.snapshots.begin(), page.snapshots.end());
    if (!page.more || page.snapshots.empty()) return true;
    what.after_volume = page.snapshots.back().volume;
    what.after_number = page.snapshots.back().number;
  }
}

void start_tools(cluster &c) {
  if (c.options.keeps_room) start_room_keeper(c);
  for (int t = 0; t < 2; ++t)
    c.tool_process->start([&c, t] {
      prng chance = c.w.stream("tool" + std::to_string(t));
      unsigned renames = static_cast<unsigned>(t) * 1000;
      while (!c.is_healed && !c.judged->failed()) {
        c.w.sleep(chance.between(0, 2 * c.options.pause_between_tools));
        if (c.is_healed) break;
        ++c.busy_threads;
        std::vector<std::pair<std::uint32_t, std::string>> idle;
        for (const auto &[key, known] : c.judged->names)
          if (!known.busy && known.exists == judge::existence::yes) idle.push_back(key);
        std::string made;
        const auto drawn = chance.below(10);
        const auto kind = c.options.few_snapshots && !idle.empty() && drawn < 4 ? 5 : drawn;
        const bool makes = idle.empty() || (c.options.keeps_all ? idle.size() < kept_max : kind < 5);
        if (makes) (void)make_snapshot(c, chance, chance.one_in(2), &made);
        else if (kind < 8 && !c.options.keeps_all) remove_some(c, chance, idle);
        else if (kind < 9) rename_one(c, chance, chance.pick(idle), ++renames);
        else {
          std::vector<wire::snapshot_entry> all;
          sometimes(probe::listed, list_all(c, &all));
        }
        --c.busy_threads;
      }
    });
}

}  // namespace csnap::simulation
