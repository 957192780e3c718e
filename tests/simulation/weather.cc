// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/weather.h"

#include "tests/simulation/options.h"

#include <algorithm>

namespace csnap::simulation {
namespace {

// Few places, one volume, nothing wrong yet: what races meets.
void begin_small(run_options &o, prng &p) {
  o.faults.clear();
  o.disks = {}, o.net = {};
  o.disks.trim_zeroes = p.one_in(2);
  o.several_hosts = o.election_can_split = o.remote_data = false;
  o.servers = static_cast<unsigned>(p.between(1, 2));
  o.volumes = 1;
  o.chunk_bytes = 4096;
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(2, 6));
  o.duration = p.between(500, 2500) * millisecond;
  o.pause_between_tools = p.between(5, 80) * millisecond;
  o.pause_between_faults = p.between(50, 400) * millisecond;
  o.operations_max = static_cast<unsigned>(p.between(150, 400));
}

void sometimes_add(run_options &o, prng &p, std::initializer_list<fault> some) {
  for (const fault f : some)
    if (p.one_in(2)) o.faults.insert(f);
}

void slow_network(run_options &o, prng &p) {
  o.faults.insert(fault::slow_network);
  o.net.latency_max = p.between(1, 5) * millisecond;
  o.net.slow_per_mille = static_cast<unsigned>(p.between(50, 300));
  o.net.slow_max = p.between(50, 500) * millisecond;
}

void slow_disk(run_options &o, prng &p) {
  o.faults.insert(fault::slow_disk);
  o.disks.slow_per_mille = static_cast<unsigned>(p.between(10, 200));
  o.disks.slow_max = p.between(2, 60) * millisecond;
}

void isolate_readers(run_options &o, prng &p) {
  const std::uint32_t leases[] = {300, 600, 1000, 2000};
  o.nodes = static_cast<unsigned>(p.between(2, 3));
  o.readers = 1;
  o.threads_per_node = static_cast<unsigned>(p.between(1, 3));
  o.lease_ms = leases[p.below(4)];
  o.margin_ms = o.lease_ms / 5;
  o.barrier_ms = static_cast<std::uint32_t>(p.between(100, 1000));
  o.duration = p.between(2, 4) * o.lease_ms * millisecond;
  o.operations_max = 400;
  o.reads_long = true;
  o.audits_maps = true;
  o.maps_min = p.one_in(2) ? static_cast<std::size_t>(p.between(1, 2)) : 256;
  o.several_hosts = p.one_in(2);
  o.faults.insert(fault::isolation);
  if (o.several_hosts) o.faults.insert(fault::clock_drift);
  sometimes_add(o, p, {fault::server_crash, fault::failover, fault::connection_loss, fault::suspend});
  o.few_snapshots = p.one_in(2);
  if (p.one_in(2)) o.faults.insert(fault::node_crash);
  if (p.one_in(2)) slow_disk(o, p);
  if (!p.one_in(2)) return;
  slow_network(o, p);
  if (p.one_in(3)) return;
  // Answers that come late, of leases that are short.
  o.net.slow_per_mille = 500;
  o.lease_ms = p.one_in(2) ? 300 : 600;
  o.margin_ms = o.lease_ms / 5;
}

void use_up_the_store(run_options &o, prng &p) {
  isolate_readers(o, p);
  o.maps_min = 256;
  o.audits_maps = false;
  o.lease_ms = p.one_in(2) ? 100 : 300;
  o.margin_ms = o.lease_ms / 5;
  o.readers = p.one_in(2) ? 1 : 0;
  o.store_chunks = static_cast<std::uint64_t>(p.between(8, 20));
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 4));
  o.duration = p.between(1000, 2500) * millisecond;
  o.pause_between_tools = p.between(2, 30) * millisecond;
  o.faults.insert(fault::connection_loss);
}

}  // namespace

weather weather_of_seed(std::uint64_t seed) {
  prng p = prng(seed).stream("weather");
  return p.one_in(2) ? weather::mixed : static_cast<weather>(1 + p.below(weather_count - 1));
}

void make_weather(run_options &o, weather what) {
  o.aim = what;
  if (what == weather::mixed) return;
  prng p = prng(o.seed).stream("of the weather");
  begin_small(o, p);
  switch (what) {
    case weather::mixed: break;
    case weather::isolation: isolate_readers(o, p); break;
    case weather::tiny_store: use_up_the_store(o, p); break;
    case weather::failing_metadata:
      o.faults.insert({fault::metadata_errors, fault::server_crash_at_write});
      sometimes_add(
          o, p, {fault::server_crash, fault::failover, fault::power_cut_at_write, fault::connection_loss});
      break;
    case weather::power_at_write:
      o.audits_maps = p.one_in(2);
      o.faults.insert(fault::power_cut_at_write);
      sometimes_add(o, p, {fault::server_crash_at_write, fault::failover, fault::node_crash});
      if (p.one_in(2)) slow_disk(o, p);
      break;
    case weather::killed_writers:
      o.nodes = static_cast<unsigned>(p.between(2, 3));
      o.faults.insert({fault::node_crash, fault::power_cut});
      if (p.one_in(3)) slow_disk(o, p);
      break;
    case weather::rot:
      o.faults.insert({fault::damage, fault::server_crash});
      sometimes_add(o, p, {fault::server_crash_at_write, fault::failover});
      o.volume_sectors *= p.one_in(2) ? 40 : 1;
      break;
    case weather::split:
      o.several_hosts = o.election_can_split = true;
      o.servers = static_cast<unsigned>(p.between(2, 3));
      o.faults.insert({fault::failover, fault::server_freeze});
      sometimes_add(o, p,
                    {fault::node_freeze, fault::network_cut, fault::server_crash, fault::connection_loss});
      o.disks.slow_per_mille = 200;
      o.disks.slow_max = p.between(1, 20) * millisecond;
      o.faults.insert(fault::slow_disk);
      break;
  }
  // So that there is something to do until the end.
  o.pause_between_operations =
      std::max(200 * microsecond, o.duration * o.nodes * o.threads_per_node / o.operations_max);
}

}  // namespace csnap::simulation
