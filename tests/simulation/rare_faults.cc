// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/rare_faults.h"

#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"

namespace csnap::simulation {
namespace {

void stop_for(cluster &c, process &p, nanoseconds how_long) {
  ++c.count.freezes;
  c.w.say("%s is stopped for %lld ms", p.name().c_str(), static_cast<long long>(how_long / millisecond));
  p.freeze();
  c.w.after(how_long, nullptr, [&p] {
    if (p.alive() && p.frozen()) p.thaw();
  });
}

// Looks every few microseconds whether it has I/O in flight: what follows that is done after it woke.
void sleep_in_io(cluster &c, process &p, nanoseconds how_long, int looks) {
  if (c.is_healed || !p.alive() || p.frozen()) return;
  if (p.io_in_flight == 0 && looks > 0)
    return c.w.after(50 * microsecond, nullptr,
                     [&c, &p, how_long, looks] { sleep_in_io(c, p, how_long, looks - 1); });
  sometimes(probe::node_frozen_past_its_lease);
  stop_for(c, p, how_long);
}

}  // namespace

void slow_link_of_a_node(cluster &c, prng &chance) {
  const nanoseconds lease = c.options.lease_ms * millisecond, barrier = c.options.barrier_ms * millisecond;
  const bool is_of_freezes = c.options.aim == weather::late_freezes;
  const bool is_of_leases = c.options.aim == weather::late_leases;
  // The last node only reads; it is the one that recalls and leases are about.
  const std::size_t n = is_of_freezes ? chance.below(c.nodes.size()) : c.nodes.size() - 1;
  const std::string who = c.node_places[n].name;
  // Of leases there are two kinds: answers that come after their lease is over at the server, and welcomes that come
  // while the lease goes on, after the hello has ended what the reader still reads.
  const bool is_of_welcomes = is_of_leases && c.options.servers == 1;
  const nanoseconds by = is_of_freezes    ? chance.between(barrier / 2, barrier)
                         : is_of_welcomes ? chance.between(lease / 20, lease / 4)
                         : is_of_leases   ? chance.between(lease / 4, 3 * lease / 2)
                                          : chance.between(lease / 20, lease / 4);
  const nanoseconds until_end =
      is_of_leases && !is_of_welcomes ? chance.between(by, 2 * by) : chance.between(3 * by, 12 * by);
  const bool hears_at_once = !is_of_freezes && !is_of_leases && chance.one_in(2);
  for (const auto &s : c.server_places) {
    if (!is_of_leases) c.net.slow_down(who, s.name, by);
    if (!hears_at_once) c.net.slow_down(s.name, who, by);
  }
  sometimes(probe::link_slow);
  c.w.say("%s is %lld ms away", who.c_str(), static_cast<long long>(by / millisecond));
  c.w.after(until_end, nullptr, [&c, who] {
    for (const auto &s : c.server_places) c.net.slow_down(who, s.name, 0), c.net.slow_down(s.name, who, 0);
  });
  if (is_of_freezes || (is_of_leases && !is_of_welcomes && chance.one_in(2))) return;
  const std::string loses = is_of_leases ? who : c.node_places[chance.below(n)].name;
  c.w.after(chance.between(by, until_end), nullptr, [&c, loses] {
    if (!c.is_healed) c.net.lose_all_of(loses);
  });
}

// The server takes the commit, the administrator deletes what it was for, and what it had used is somebody's again,
// before the answer is lost with the connection.
void lose_answer_to_a_commit(cluster &c, prng &chance) {
  const nanoseconds by = chance.between(20, 120) * millisecond;
  c.on_next_commit = [&c, by](const std::string &who, volume_id volume) {
    c.w.say("%s is told everything %lld ms later", who.c_str(), static_cast<long long>(by / millisecond));
    for (const auto &s : c.server_places) c.net.slow_down(s.name, who, by);
    c.w.after(2 * millisecond, nullptr, [&c, volume] {
      if (!c.is_healed) remove_newest(c, volume);
    });
    c.w.after(by, nullptr, [&c, who] {
      for (const auto &s : c.server_places) c.net.slow_down(s.name, who, 0);
      if (c.is_healed) return;
      sometimes(probe::answers_lost);
      c.net.lose_all_of(who);
    });
  };
}

void sleep_past_a_lease(cluster &c, prng &chance) {
  process &p = c.nodes[chance.below(c.nodes.size())]->self();
  const nanoseconds lease = (c.options.lease_ms + c.options.margin_ms) * millisecond;
  const nanoseconds how_long = chance.between(lease, 3 * lease);
  if (chance.one_in(2)) return sleep_in_io(c, p, how_long, 400);
  // Before it uses what it was granted.
  c.on_next_grant = [&c, how_long](process &granted) {
    if (c.is_healed || granted.frozen()) return;
    sometimes(probe::node_frozen_past_its_lease);
    stop_for(c, granted, how_long);
  };
}

void elect_during_a_takeover(cluster &c, prng &chance) {
  c.election.elect_another();
  if (chance.one_in(3)) return;
  const nanoseconds how_long = chance.between(1, 120) * millisecond;
  c.metadata().after_writes(static_cast<std::uint64_t>(chance.between(1, 16)), [&c, how_long] {
    process *p = c.election.master();
    if (c.is_healed || p == nullptr || !p->alive() || p->frozen()) return;
    sometimes(probe::takeover_frozen);
    stop_for(c, *p, how_long);
    c.election.elect_another();
  });
}

}  // namespace csnap::simulation
