// SPDX-License-Identifier: BSD-3-Clause
//
// What goes wrong: every now and then one thing of the classes that are on, often while the last one lasts.
#include "tests/simulation/cluster.h"
#include "tests/simulation/probes.h"
#include "tests/simulation/rare_faults.h"

#include <cmath>

namespace csnap::simulation {
namespace {

struct nemesis {
  cluster &c;
  prng chance;

  explicit nemesis(cluster &of) : c(of), chance(of.w.stream("nemesis")) {}

  process *some_server(bool prefer_master) {
    if (prefer_master && c.election.master() != nullptr && c.election.master()->alive())
      return c.election.master();
    auto &s = c.servers[chance.below(c.servers.size())];
    return s && s->self().alive() ? &s->self() : nullptr;
  }
  nanoseconds some_time(nanoseconds longest) {  // short ones more often
    const nanoseconds limit = longest >> chance.below(6);
    return chance.between(millisecond, std::max(limit, 2 * millisecond));
  }
  std::string some_place() {
    const auto n = chance.below(c.node_places.size() + 1);
    return n == c.node_places.size() ? std::string("tool") : c.node_places[n].name;
  }

  void freeze(process &p, nanoseconds how_long) {
    ++c.count.freezes;
    c.w.say("%s is stopped for %lld ms", p.name().c_str(), static_cast<long long>(how_long / millisecond));
    p.freeze();
    c.w.after(how_long, nullptr, [&c = c, &p] {
      if (p.alive() && p.frozen()) {
        c.w.say("%s goes on", p.name().c_str());
        p.thaw();
      }
    });
  }

  void crash_server() {
    if (process *p = some_server(!chance.one_in(4))) {
      ++c.count.crashes;
      sometimes(probe::server_crashed);
      sometimes(probe::server_crashed_with_io, p->io_in_flight > 0);
      p->kill();
    }
    c.restart_the_dead(some_time(2 * second));
  }
  void crash_node() {
    const auto n = chance.below(c.nodes.size());
    process &p = c.nodes[n]->self();
    if (p.alive()) {
      ++c.count.crashes;
      sometimes(probe::node_crashed);
      sometimes(probe::node_crashed_with_io, p.io_in_flight > 0);
      sometimes(probe::node_crashed_frozen, p.frozen());
      c.kill_node(n);
    }
    c.restart_the_dead(some_time(2 * second));
  }
  void freeze_server() {
    if (c.options.aim == weather::split && chance.one_in(2)) return freeze_server_at_write();
    process *p = some_server(true);
    if (p == nullptr || p->frozen()) return;
    sometimes(probe::server_frozen);
    const nanoseconds how_long = some_time(8 * second);
    freeze(*p, how_long);
    if (chance.one_in(2)) c.w.after(how_long / 2, nullptr, [this] { c.election.elect_another(); });
  }
  // In the middle of a takeover or a checkpoint; another is elected, and then it goes on.
  void freeze_server_at_write() {
    c.metadata().after_writes(static_cast<std::uint64_t>(chance.between(1, 40)), [this] {
      process *p = c.election.master();
      if (c.is_healed || p == nullptr || !p->alive() || p->frozen()) return;
      sometimes(probe::server_frozen_at_write);
      freeze(*p, some_time(second));
      c.election.elect_another();
    });
  }
  void freeze_node() {
    process &p = c.nodes[chance.below(c.nodes.size())]->self();
    if (!p.alive() || p.frozen()) return;
    sometimes(probe::node_frozen);
    const nanoseconds how_long = some_time(3 * c.options.lease_ms * millisecond);
    sometimes(probe::node_frozen_past_its_lease,
              how_long > (c.options.lease_ms + c.options.margin_ms) * millisecond);
    freeze(p, how_long);
  }
  void cut_network() {
    const std::string a = some_place(), b = c.server_places[chance.below(c.server_places.size())].name;
    const auto kind = chance.below(3);
    if (kind != 1) c.net.cut(a, b);
    if (kind != 0) c.net.cut(b, a);
    sometimes(probe::cut_one_way, kind != 2);
    sometimes(probe::cut_both_ways, kind == 2);
    c.w.after(some_time(4 * second), nullptr, [&c = c, a, b] { c.net.heal(a, b), c.net.heal(b, a); });
  }
  // One node is cut off from all servers, for about as long as its lease lasts. Often the master ends, too.
  void isolate_node() {
    const std::string who = c.node_places[chance.below(c.node_places.size())].name;
    const auto kind = chance.below(4);  // most often both ways
    for (const auto &s : c.server_places) {
      if (kind != 0) c.net.cut(who, s.name);
      if (kind != 1) c.net.cut(s.name, who);
    }
    const nanoseconds lease = c.options.lease_ms * millisecond;
    sometimes(probe::node_isolated);
    c.w.say("%s is cut off", who.c_str());
    c.w.after(chance.between(lease / 4, 2 * lease), nullptr, [&c = c, who] {
      for (const auto &s : c.server_places) c.net.heal(who, s.name), c.net.heal(s.name, who);
    });
    if (chance.one_in(2)) return;
    const nanoseconds until_end = chance.between(0, lease / 4);
    if (c.has(fault::node_crash) && chance.one_in(2))  // a writer, too, and both are soon back
      c.w.after(until_end, nullptr, [this, who] {
        for (std::size_t n = 0; n < c.nodes.size(); ++n)
          if (c.node_places[n].name != who) c.kill_node(n);
        c.restart_the_dead(50 * millisecond);
      });
    if (c.has(fault::server_crash)) c.w.after(until_end, nullptr, [this] { crash_server(); });
    else if (c.has(fault::failover)) c.w.after(until_end, nullptr, [this] { fail_over(); });
  }
  void crash_server_at_write() {
    c.metadata().after_writes(static_cast<std::uint64_t>(chance.between(1, 40)), [this] {
      if (c.is_healed) return;
      sometimes(probe::server_crashed_at_write);
      crash_server();
    });
  }
  void cut_power_at_write() {
    c.metadata().after_writes(static_cast<std::uint64_t>(chance.between(1, 60)), [this] {
      if (c.is_healed) return;
      sometimes(probe::power_cut_at_write);
      c.power_cut();
    });
  }
  void suspend_host() {
    host &h = *c.w.hosts()[chance.below(c.w.hosts().size())];
    const nanoseconds how_long = some_time(3 * c.options.lease_ms * millisecond);
    c.w.say("host %u sleeps for %lld ms", h.number, static_cast<long long>(how_long / millisecond));
    sometimes(probe::host_slept);
    for (const auto &p : c.w.processes())
      if (&p->where() == &h && p->alive() && p.get() != c.tool_process) freeze(*p, how_long);
    c.w.after(how_long, nullptr, [&h, how_long] { h.slept += how_long; });
  }
  void jump_wall_clock() {
    host &h = *c.w.hosts()[chance.below(c.w.hosts().size())];
    h.wall_offset += chance.between(-3600, 3600) * second / (chance.one_in(2) ? 1000 : 1);
    sometimes(probe::wall_clock_jumped);
  }
  void disk_errors() {
    c.set_faults(true);
    c.w.after(some_time(2 * second), nullptr, [this] {
      c.set_faults(false);
      for (std::size_t n = 0; n < c.nodes.size(); ++n)  // an administrator sees what its log says
        if (c.nodes[n]->saw_failed_flush() && chance.one_in(2)) c.kill_node(n);
    });
  }

  void one_thing() {
    struct kind {
      fault of;
      void (nemesis::*what)();
    };
    static constexpr kind kinds[] = {{fault::server_crash, &nemesis::crash_server},
                                     {fault::node_crash, &nemesis::crash_node},
                                     {fault::server_freeze, &nemesis::freeze_server},
                                     {fault::node_freeze, &nemesis::freeze_node},
                                     {fault::network_cut, &nemesis::cut_network},
                                     {fault::suspend, &nemesis::suspend_host},
                                     {fault::wall_jump, &nemesis::jump_wall_clock},
                                     {fault::store_errors, &nemesis::disk_errors},
                                     {fault::origin_errors, &nemesis::disk_errors},
                                     {fault::metadata_errors, &nemesis::disk_errors},
                                     {fault::device_full, &nemesis::disk_errors},
                                     {fault::connection_loss, &nemesis::lose_connections},
                                     {fault::failover, &nemesis::fail_over},
                                     {fault::damage, &nemesis::rot},
                                     {fault::power_cut, &nemesis::cut_power},
                                     {fault::isolation, &nemesis::isolate_node},
                                     {fault::server_crash_at_write, &nemesis::crash_server_at_write},
                                     {fault::power_cut_at_write, &nemesis::cut_power_at_write},
                                     {fault::slow_links, &nemesis::slow_link},
                                     {fault::long_sleep, &nemesis::sleep_for_long},
                                     {fault::usurper, &nemesis::usurp},
                                     {fault::lost_answers, &nemesis::lose_answers}};
    std::vector<kind> on;
    for (const kind &k : kinds)
      if (c.has(k.of)) on.push_back(k);
    if (on.empty()) return;
    const kind chosen = on[chance.below(on.size())];
    (this->*chosen.what)();
  }
  void slow_link() { slow_link_of_a_node(c, chance); }
  void sleep_for_long() { sleep_past_a_lease(c, chance); }
  void usurp() { elect_during_a_takeover(c, chance); }
  void lose_answers() { lose_answer_to_a_commit(c, chance); }
  void rot() {
    if (chance.one_in(4)) damage_metadata(c, chance);
  }
  void lose_connections() { c.net.lose_some(static_cast<unsigned>(chance.between(100, 1000))); }
  void cut_power() {
    if (chance.one_in(2)) c.power_cut();
  }
  // What an administrator does, or a cluster manager.
  void fail_over() {
    if (c.election.can_split() && chance.one_in(2)) return c.election.elect_another();
    for (const auto &s : c.servers)
      if (s && &s->self() == c.election.master() && s->serves()) {
        sometimes(probe::planned_failover);
        s->stop();
      }
    c.restart_the_dead(some_time(second));
  }

  void go_on() {
    if (c.is_healed || c.judged->failed()) return;
    one_thing();
    c.restart_the_dead(2 * second);
    c.w.after(chance.between(0, 2 * c.options.pause_between_faults), nullptr, [this] { go_on(); });
  }
};

}  // namespace

void start_nemesis(cluster &c) {
  const auto made = std::make_shared<nemesis>(c);
  c.bad_luck = made;
  if (c.options.has(fault::connection_loss))
    c.net.lost_per_million = static_cast<unsigned>(made->chance.between(0, 20000));
  c.w.after(made->chance.between(0, c.options.pause_between_faults), nullptr,
            [of = made.get()] { of->go_on(); });
}

}  // namespace csnap::simulation
