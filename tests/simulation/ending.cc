// SPDX-License-Identifier: BSD-3-Clause
//
// The end of a run, when the faults are over: everything is read once more and compared, a snapshot can be
// made, everything is deleted and becomes free, everybody ends, and the offline check finds nothing.
#include "metaserver/store/offline.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/formatted_store.h"
#include "tests/simulation/probes.h"

namespace csnap::simulation {
namespace {

constexpr int attempts_max = 40;

// Runs `what` as a thread of that node; returns when it has ended (or the node died).
void in_node(cluster &c, node_process &node, const std::function<void()> &what) {
  const auto over = std::make_shared<bool>(false);
  node.self().start([over, what] {
    what();
    *over = true;
  });
  while (!*over && node.self().alive()) c.w.sleep(5 * millisecond);
}

// One that lives; waits for it.
node_process &some_node(cluster &c, prng &chance) {
  for (;;) {
    node_process &node = *c.nodes[chance.below(c.nodes.size())];
    if (node.self().alive() && node.is_ready()) return node;
    c.w.sleep(10 * millisecond);
  }
}

void read_everything(cluster &c, prng &chance) {
  for (const auto &[key, known] : c.judged->names) {
    if (known.exists != judge::existence::yes || c.judged->failed()) continue;
    node_process &node = some_node(c, chance);
    in_node(c, node, [&c, &node, key = key] {
      const volume_id volume{key.first};
      const auto opened = node.client().open_snapshot(key.first == 1 ? "a" : "b", key.second);
      if (!opened && c.judged->names.at(key).may_be_given_up) return;
      if (!opened)
        return c.judged->wrong("catalog", key.second + " cannot be opened: " + opened.error().text);
      plugin::snapshot_io io({volume, opened->number, opened->size_bytes}, node.origin(volume), node.store(),
                             node.client());
      std::vector<std::byte> bytes(c.volume_bytes());
      const auto done = io.read(0, bytes);
      if (!done) return c.judged->wrong("refused", "a snapshot cannot be read: " + done.error().text);
      c.judged->snapshot_read(volume, opened->number, 0, bytes);
      sometimes(probe::snapshot_read_in_full);
      node.client().close_snapshot(volume, opened->number);
    });
  }
  for (std::uint32_t v = 1; v <= c.options.volumes && !c.judged->failed(); ++v) {
    node_process &node = some_node(c, chance);
    in_node(c, node, [&c, &node, v] {
      std::vector<std::byte> bytes(c.volume_bytes());
      const nanoseconds began = c.w.now();
      if (!node.origin(volume_id{v}).read(0, bytes))
        return c.judged->wrong("refused", "the origin cannot be read");
      const auto why =
          c.judged->history(v).read_ended({0, c.options.volume_sectors}, bytes.data(), began, c.w.now());
      if (!why.empty()) c.judged->wrong("register", why);
    });
  }
}

void make_one_more(cluster &c, prng &chance) {
  if (c.has_unprovable_death) return;
  for (int attempt = 1;; ++attempt) {
    std::string name;
    const auto made = make_snapshot(c, chance, true, &name);
    if (made) return;
    if (made.error().code == errc::no_space) return;
    if (attempt == attempts_max)
      return c.judged->wrong("alive", "no snapshot can be made: " + made.error().text);
    c.w.sleep(200 * millisecond);
  }
}

void delete_everything(cluster &c) {
  for (int attempt = 0; attempt < attempts_max && !c.judged->failed(); ++attempt) {
    bool all_gone = true;
    std::vector<std::pair<std::uint32_t, std::string>> left;
    for (const auto &[key, known] : c.judged->names)
      if (known.exists != judge::existence::no && !known.busy) left.push_back(key);
    for (const auto &key : left) all_gone = remove_snapshot(c, key).has_value() && all_gone;
    if (all_gone) return;
    c.w.sleep(100 * millisecond);
  }
  c.judged->wrong("alive", "not everything can be deleted");
}

void wait_until_reaped(cluster &c) {
  for (int attempt = 0; attempt < 300; ++attempt) {
    const auto answer = c.admin->call(wire::status{}, 30 * second);
    if (answer && std::get<wire::report>(*answer).json.find("\"snapshots_waiting\":0") != std::string::npos)
      return;
    if (answer && attempt == 0) c.w.say("%s", std::get<wire::report>(*answer).json.c_str());
    c.w.sleep(50 * millisecond);
  }
  c.judged->wrong("leak", "the reaper does not come to an end");
}

void end_everything(cluster &c) {
  for (const auto &node : c.nodes)
    in_node(c, *node, [&] {
      // A flush that began before the faults were over may fail only now.
      if (!node->leave() && !node->saw_failed_flush()) c.judged->wrong("alive", "a goodbye is not answered");
    });
  c.is_ending = true;
  for (const auto &node : c.nodes) node->self().kill();
  for (const auto &s : c.servers)
    if (&s->self() != c.election.master()) s->self().kill();
  for (const auto &s : c.servers)
    if (s->self().alive()) s->stop();
  for (int i = 0; i < 4000; ++i) {
    bool any = false;
    for (const auto &s : c.servers) any = any || s->self().alive();
    if (!any) return;
    c.w.sleep(10 * millisecond);
  }
  c.judged->wrong("alive", "a server does not stop");
}

}  // namespace

void start_ending(cluster &c, bool *is_over) {
  c.tool_process->start([&c, is_over] {
    prng chance = c.w.stream("ending");
    for (const auto &node : c.nodes)
      while (!node->is_ready() && !c.judged->failed()) c.w.sleep(10 * millisecond);
    make_one_more(c, chance);
    read_everything(c, chance);
    std::vector<wire::snapshot_entry> all;
    if (list_all(c, &all)) c.judged->listed(all);
    else c.judged->wrong("alive", "a list is not answered");
    if (c.options.keeps_room && !release_all(c)) c.judged->wrong("alive", "holds cannot be released");
    if (!c.judged->failed()) delete_everything(c);
    if (!c.judged->failed()) wait_until_reaped(c);
    if (!c.judged->failed()) end_everything(c);
    *is_over = true;
  });
}

void check_what_is_left(cluster &c) {
  image_device device(c.metadata().image);
  const store::check_report report = store::check_store(device);
  if (!report.ok()) return c.judged->wrong("accounting", report.errors.front());
  check_mirror_of_newest_slot(c);
  if (report.snapshots != 0 || report.exceptions != 0 || report.chunks_owned != 0)
    return c.judged->wrong("leak", std::to_string(report.chunks_owned) + " chunks and " +
                                       std::to_string(report.exceptions) + " exceptions of " +
                                       std::to_string(report.snapshots) + " snapshots are left");
  if (!c.has_unprovable_death && report.chunks_reserved != 0)
    c.judged->wrong("leak", std::to_string(report.chunks_reserved) + " chunks stay reserved");
}

}  // namespace csnap::simulation
