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

// Barriers are given up, and the next one begins, while the answer to the first is under way.
void delay_freezes(run_options &o, prng &p) {
  o.nodes = 2;
  o.threads_per_node = 2;
  o.servers = 1;
  o.lease_ms = 1000;
  o.margin_ms = 200;
  o.barrier_ms = static_cast<std::uint32_t>(p.between(20, 60));
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(1, 3));
  o.duration = 1500 * millisecond;
  o.operations_max = 500;
  o.pause_between_tools = o.barrier_ms * millisecond / 2;
  o.pause_between_faults = 5 * o.barrier_ms * millisecond;
  o.few_snapshots = true;
  o.faults.insert(fault::slow_links);
}

void delay_recalls(run_options &o, prng &p) {
  o.nodes = 3;
  o.readers = 1;
  o.threads_per_node = 2;
  o.lease_ms = 1000;
  o.margin_ms = 200;
  o.barrier_ms = 200;
  o.duration = 2 * second;
  o.operations_max = 500;
  o.pause_between_tools = p.between(5, 30) * millisecond;
  o.pause_between_faults = p.between(50, 200) * millisecond;
  o.reads_long = true;
  o.few_snapshots = p.one_in(2);
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 4));
  o.store_chunks = static_cast<std::uint64_t>(p.between(8, 16));
  o.faults.insert(fault::slow_links);
  if (p.one_in(4)) o.faults.insert(fault::server_crash);
  if (p.one_in(2)) return;
  o.maps_min = 1;
  o.threads_per_node = 3;
  slow_disk(o, p);
}

void delay_leases(run_options &o, prng &p) {
  o.nodes = 2;
  o.readers = 1;
  o.threads_per_node = 2;
  o.lease_ms = p.one_in(2) ? 100 : 300;
  o.margin_ms = o.lease_ms / 5;
  o.barrier_ms = 200;
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(4, 12));
  o.duration = 1500 * millisecond;
  o.operations_max = 500;
  o.pause_between_tools = p.between(10, 40) * millisecond;
  o.pause_between_faults = o.lease_ms * millisecond;
  o.reads_long = true;
  o.faults.insert(fault::slow_links);
}

// A grant or a commit waits long for its record, and then the server ends; who wrote lives on.
void slow_down_the_log(run_options &o, prng &p) {
  o.servers = 2;
  o.nodes = static_cast<unsigned>(p.between(2, 3));
  o.threads_per_node = static_cast<unsigned>(p.between(1, 3));
  o.separate_metadata = true;
  o.metadata_slow_per_mille = static_cast<unsigned>(p.between(100, 1000));
  o.metadata_slow_max = p.between(2, 40) * millisecond;
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 3));
  o.store_chunks = static_cast<std::uint64_t>(p.one_in(2) ? p.between(12, 40) : 200);
  o.audits_grants = true;
  o.faults.insert({fault::server_crash, fault::server_crash_at_write});
  sometimes_add(o, p, {fault::failover, fault::power_cut_at_write});
}

void fill_the_store(run_options &o, prng &p) {
  const full_policy policies[] = {full_policy::error, full_policy::origin_first, full_policy::origin_first,
                                  full_policy::snapshot_first, full_policy::snapshot_first};
  o.nodes = static_cast<unsigned>(p.between(1, 3));
  o.volumes = static_cast<unsigned>(p.between(1, 2));
  o.threads_per_node = static_cast<unsigned>(p.between(1, 3));
  o.lease_ms = p.one_in(2) ? 300 : 1000;
  o.margin_ms = o.lease_ms / 5;
  o.when_full = policies[p.below(5)];
  o.keeps_room = true;
  o.audits_grants = true;
  o.reads_long = p.one_in(2);
  o.store_chunks = static_cast<std::uint64_t>(p.between(2, 6));
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(4, 8));
  o.separate_metadata = true;
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 3));
  o.duration = p.between(1500, 3000) * millisecond;
  o.pause_between_tools = p.between(10, 60) * millisecond;
  sometimes_add(o, p, {fault::server_crash, fault::failover, fault::connection_loss, fault::node_crash});
  if (p.one_in(3)) o.faults.insert(fault::server_crash_at_write);
  if (p.one_in(3)) slow_disk(o, p);
  if (p.one_in(3)) slow_network(o, p);
  if (!p.one_in(3)) return;
  // Room comes only with a larger store, or only of what the servers give up, while it is being read.
  o.keeps_all = true;
  o.reads_long = true;
  o.when_full = p.one_in(2) ? full_policy::snapshot_first : full_policy::origin_first;
}

void lead_writes_astray(run_options &o, prng &p) {
  o.separate_metadata = true;  // what is preserved has no checksums
  o.faults.insert({fault::stray_writes, fault::server_crash, fault::server_crash_at_write});
  sometimes_add(o, p, {fault::failover});
  o.volume_sectors *= p.one_in(2) ? 40 : 1;
  o.pause_between_faults = p.between(20, 150) * millisecond;
}

// Who sleeps has chunks that it was about to write; the others need each chunk that becomes free.
void sleep_for_long(run_options &o, prng &p) {
  o.nodes = static_cast<unsigned>(p.between(2, 3));
  o.threads_per_node = static_cast<unsigned>(p.between(2, 4));
  o.lease_ms = p.one_in(2) ? 100 : 300;
  o.margin_ms = o.lease_ms / 5;
  o.barrier_ms = static_cast<std::uint32_t>(p.between(50, 300));
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 2));
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(10, 14));
  o.store_chunks = 2;  // and another 14, which a store has at least
  o.separate_metadata = true;
  o.when_full = p.one_in(2) ? full_policy::snapshot_first : full_policy::error;
  o.duration = p.between(8, 16) * o.lease_ms * millisecond;
  o.operations_max = 1200;
  o.pause_between_tools = p.between(5, 30) * millisecond;
  o.pause_between_faults = o.lease_ms * millisecond / 2;
  o.few_snapshots = o.keeps_oldest = o.only_writes = true;
  o.faults.insert(fault::long_sleep);
  if (p.one_in(2)) slow_disk(o, p);
}

void usurp_masters(run_options &o, prng &p) {
  o.several_hosts = o.election_can_split = o.separate_metadata = true;
  o.servers = 3;
  o.nodes = static_cast<unsigned>(p.between(1, 3));
  o.lease_ms = p.one_in(2) ? 100 : 300;
  o.margin_ms = o.lease_ms / 5;
  o.faults.insert(fault::usurper);
  sometimes_add(o, p, {fault::server_crash, fault::server_freeze});
  o.pause_between_faults = p.between(40, 250) * millisecond;
  o.metadata_slow_per_mille = static_cast<unsigned>(p.between(5, 60));
  o.metadata_slow_max = p.between(20, 200) * millisecond;
  o.disks.early_reads = true;
}

// Two volumes, for each has a copy-out of its own under way: while one waits for the answer to a commit, the other
// asks for a chunk, and gets the one that was committed, and is free again.
void lose_answers(run_options &o, prng &p) {
  o.volumes = 2;
  o.volume_sectors = 8 * static_cast<std::uint64_t>(p.between(5, 7));
  o.nodes = static_cast<unsigned>(p.between(1, 2));
  o.threads_per_node = static_cast<unsigned>(p.between(2, 4));
  o.servers = 1;
  o.only_writes = true;
  o.few_snapshots = o.keeps_oldest = true;
  o.when_full = full_policy::snapshot_first;
  o.store_chunks = 2;  // and another 14, which a store has at least
  o.separate_metadata = true;
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 2));
  o.lease_ms = 1000;
  o.margin_ms = 200;
  o.barrier_ms = 300;
  o.pause_between_tools = p.between(20, 100) * millisecond;
  o.pause_between_faults = p.between(50, 150) * millisecond;
  o.operations_max = 800;
  o.faults.insert(fault::lost_answers);
}

// Several threads read several snapshots, and there is room for one map; others overwrite what they read.
void drop_maps(run_options &o, prng &p) {
  o.nodes = static_cast<unsigned>(p.between(2, 3));
  o.readers = 1;
  o.threads_per_node = static_cast<unsigned>(p.between(3, 4));
  o.servers = 1;
  o.maps_min = 1;
  o.reads_long = true;
  o.lease_ms = 2000;
  o.margin_ms = 400;
  o.barrier_ms = 300;
  o.duration = p.between(1500, 2500) * millisecond;
  o.operations_max = 500;
  o.pause_between_tools = p.between(10, 40) * millisecond;
  slow_disk(o, p);
  sometimes_add(o, p, {fault::connection_loss, fault::node_crash});
}

}  // namespace

weather weather_of_seed(std::uint64_t seed) {
  prng p = prng(seed).stream("weather");
  if (!p.one_in(2)) return static_cast<weather>(1 + p.below(weather_first_drawn_count - 1));
  // Weathers that came later take the place of mixed seeds, so that the seeds of the others stay what they are.
  const auto one_of = [&](weather first, std::size_t count, prng &from) {
    return static_cast<weather>(static_cast<std::size_t>(first) + from.below(count));
  };
  prng newer = prng(seed).stream("newer weather"), newest = prng(seed).stream("newest weather");
  prng latest = prng(seed).stream("latest weather");
  if (newer.one_in(3)) return one_of(weather::late_freezes, 6, newer);
  if (newest.one_in(6)) return one_of(weather::full_store, 2, newest);
  if (latest.one_in(6)) return one_of(weather::lost_answers, 2, latest);
  return weather::mixed;
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
    case weather::late_freezes: delay_freezes(o, p); break;
    case weather::late_recalls: delay_recalls(o, p); break;
    case weather::late_leases: delay_leases(o, p); break;
    case weather::slow_log: slow_down_the_log(o, p); break;
    case weather::long_sleepers: sleep_for_long(o, p); break;
    case weather::usurpers: usurp_masters(o, p); break;
    case weather::full_store: fill_the_store(o, p); break;
    case weather::stray_writes: lead_writes_astray(o, p); break;
    case weather::lost_answers: lose_answers(o, p); break;
    case weather::few_maps: drop_maps(o, p); break;
  }
  // So that there is something to do until the end.
  o.pause_between_operations =
      std::max(200 * microsecond, o.duration * o.nodes * o.threads_per_node / o.operations_max);
}

}  // namespace csnap::simulation
