// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/run.h"

#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"

#include <csetjmp>
#include <csignal>
#include <cstdio>

namespace csnap::simulation {
namespace {

// A check() of the code under test ends the run, not the simulator.
sigjmp_buf after_abort;
volatile bool may_jump = false;

void on_abort(int) {
  if (!may_jump) return;
  may_jump = false;
  siglongjmp(after_abort, 1);
}

// Nothing takes longer than this when nothing is broken any more.
nanoseconds patience(const run_options &o) {
  return 60 * second + 10 * (o.lease_ms + o.margin_ms + o.barrier_ms) * millisecond;
}

void heal(cluster &c) {
  c.w.say("the faults are over");
  c.is_healed = true;
  c.net.heal();
  c.net.lost_per_million = 0;
  c.net.habits.slow_per_mille = 0;
  c.net.habits.latency_max = network_habits().latency_max;
  for (disk *each : c.all_disks()) each->habits.slow_per_mille = 0;
  c.set_faults(false);
  for (const auto &p : c.w.processes())
    while (p->alive() && p->frozen()) p->thaw();
}

// As those do who run a cluster. A flush that failed is never forgotten by the process that saw it, and one that had
// begun before the faults were over may fail after that.
void keep_alive(cluster &c) {
  for (std::size_t n = 0; n < c.nodes.size(); ++n)
    if (c.nodes[n]->saw_failed_flush()) c.kill_node(n);
  c.restart_the_dead(20 * millisecond);
  if (!c.is_ending) c.w.after(100 * millisecond, nullptr, [&c] { keep_alive(c); });
}

// Everything that was begun has ended, and enough was.
bool is_quiet(const cluster &c) {
  return c.busy_threads == 0 && (c.count.operations >= 20 || c.operations_left == 0);
}

void simulate(cluster &c) {
  const auto stops = [&c] { return c.judged->failed() || c.is_at_limit; };
  const auto turns_in_circles = [&c](bool goes_on) {
    if (!goes_on) c.judged->wrong("alive", "there is no end of events");
  };
  start_tools(c);
  start_nemesis(c);
  turns_in_circles(c.w.run_until(c.options.duration, stops));
  if (stops()) return;
  heal(c);
  keep_alive(c);
  // A damaged store may be refused from now on: then only what is served counts.
  if (!c.damage.empty()) {
    (void)c.w.run_until(c.w.now() + 3 * second, stops);
    if (!stops()) check_damage(c);
    return;
  }
  if (c.options.keeps_room || c.options.when_full != full_policy::error) make_room_for_all(c);
  const nanoseconds end = c.w.now() + patience(c.options);
  turns_in_circles(c.w.run_until(end, [&] { return stops() || is_quiet(c); }));
  if (!is_quiet(c) && !stops())
    c.judged->wrong("alive", "operations have not ended: " + std::to_string(c.busy_threads));
  if (stops()) return;
  bool is_over = false;
  start_ending(c, &is_over);
  turns_in_circles(c.w.run_until(c.w.now() + 10 * patience(c.options), [&] { return stops() || is_over; }));
  if (!is_over && !stops()) c.judged->wrong("alive", "the last operations have not ended");
  if (!stops()) check_what_is_left(c);
}

// That the range of seeds holds what it should: probes of the inputs.
void note_inputs(const cluster &c) {
  const run_options &o = c.options;
  sometimes(probe::run_with_many_elections, c.election.elections() >= 5);
  sometimes(probe::run_with_many_snapshots, c.judged->count.snapshots >= 20);
  sometimes(probe::run_with_two_power_cuts, c.count.power_cuts >= 2);
  sometimes(probe::run_with_four_nodes, o.nodes == 4);
  sometimes(probe::run_with_one_node, o.nodes == 1);
  sometimes(probe::run_with_large_chunks, o.chunk_bytes == 65536);
  sometimes(probe::run_with_a_part_of_a_chunk, o.volume_sectors * sector_bytes % o.chunk_bytes != 0);
  sometimes(probe::run_with_a_tiny_store, o.store_chunks < 20);
  sometimes(probe::run_with_a_volume_of_two_segments, o.volume_sectors * sector_bytes > 256 * o.chunk_bytes);
  sometimes(probe::run_with_drift, o.has(fault::clock_drift));
  sometimes(probe::run_on_one_device, !o.separate_metadata);
}

verdict verdict_of(const cluster &c) {
  note_inputs(c);
  verdict v;
  v.checker = c.judged->checker();
  v.text = c.judged->text();
  v.hash = c.w.hash();
  v.events = c.w.events();
  v.operations = c.count.operations;
  v.crashes = c.count.crashes;
  v.power_cuts = c.count.power_cuts;
  v.elections = c.election.elections();
  v.freezes = c.count.freezes;
  v.snapshot_reads = c.judged->count.snapshot_reads;
  v.snapshots = c.judged->count.snapshots;
  v.errors = c.count.errors;
  v.is_at_limit = c.is_at_limit;
  return v;
}

}  // namespace

verdict run(const run_options &options, const planted_bug *bug, bool verbose) {
  std::signal(SIGABRT, on_abort);
  // Not destroyed after an abort: what was running holds pointers everywhere.
  cluster *c = nullptr;
  if (sigsetjmp(after_abort, 1) == 0) {
    may_jump = true;
    c = new cluster(options, bug, verbose);
    simulate(*c);
    may_jump = false;
    const verdict v = verdict_of(*c);
    delete c;
    return v;
  }
  fiber::abandon_all();
  verdict v;
  v.checker = "check";
  v.text = "a check() of the code failed";
  v.operations = 1;
  return v;
}

}  // namespace csnap::simulation
