// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/options.h"

#include <algorithm>

namespace csnap::simulation {

run_options options_of_seed(std::uint64_t seed) {
  prng p = prng(seed).stream("options");
  run_options o;
  o.seed = seed;
  o.nodes = static_cast<unsigned>(p.between(1, 3) + (p.one_in(4) ? 1 : 0));
  o.servers = static_cast<unsigned>(p.between(1, 3));
  o.volumes = p.one_in(3) ? 2 : 1;
  o.threads_per_node = static_cast<unsigned>(p.between(1, 4));
  o.several_hosts = p.one_in(4);
  o.election_can_split = o.several_hosts;  // `file` is of one kernel
  o.separate_metadata = !p.one_in(4);
  o.remote_data = p.one_in(8);
  o.chunk_bytes = p.one_in(6) ? 4096u << p.between(1, 4) : 4096;
  const std::uint64_t sectors_per_chunk = o.chunk_bytes / sector_bytes;
  const std::int64_t chunks = p.one_in(8) ? p.between(257, 300) : p.between(3, 40);
  o.volume_sectors = sectors_per_chunk * static_cast<std::uint64_t>(chunks);
  if (o.chunk_bytes > 16384) o.volume_sectors = std::min(o.volume_sectors, sectors_per_chunk * 20);
  if (p.one_in(3))
    o.volume_sectors -=
        static_cast<std::uint64_t>(p.between(1, static_cast<std::int64_t>(sectors_per_chunk) - 1));
  o.store_chunks = static_cast<std::uint64_t>(p.one_in(4) ? p.between(16, 40) : p.between(64, 400));
  const std::int64_t leases[] = {100, 300, 1000, 2000, 5000};
  o.lease_ms = static_cast<std::uint32_t>(leases[p.below(5)]);
  o.margin_ms = o.lease_ms / 5;
  o.barrier_ms = static_cast<std::uint32_t>(p.one_in(3) ? p.between(20, 200) : p.between(200, 2000));
  o.reserve_chunks = static_cast<std::uint32_t>(p.between(1, 32));
  o.cache_bytes = p.one_in(2) ? 1 : 4u << 20;
  o.duration = p.between(500, 4000) * millisecond;
  o.pause_between_operations = p.between(200, 20000) * microsecond;
  o.pause_between_faults = p.between(50, 1500) * millisecond;
  o.pause_between_tools = p.between(2, 300) * millisecond;
  o.operations_max = static_cast<unsigned>(p.between(40, 300));
  o.switch_per_mille = p.one_in(2) ? 0 : static_cast<unsigned>(p.between(1, 60));
  for (std::size_t f = 0; f < fault_drawn_count; ++f)
    if (p.one_in(2)) o.faults.insert(static_cast<fault>(f));
  // These end what others would have shown; they get fewer runs.
  for (const fault f : {fault::metadata_errors, fault::damage, fault::power_cut, fault::device_full})
    if (p.one_in(2)) o.faults.erase(f);
  if (o.has(fault::slow_disk)) {
    o.disks.slow_per_mille = static_cast<unsigned>(p.between(1, 100));
    o.disks.slow_max = p.one_in(4) ? 3 * second : 100 * millisecond;
  }
  if (o.has(fault::slow_network)) {
    o.net.latency_max = p.between(1, 20) * millisecond;
    o.net.slow_per_mille = static_cast<unsigned>(p.between(1, 100));
    o.net.slow_max = p.one_in(4) ? 2 * second : 200 * millisecond;
  }
  o.net.split_per_mille = static_cast<unsigned>(p.between(0, 300));
  o.disks.trim_zeroes = p.one_in(2);
  make_weather(o, weather_of_seed(seed));
  return o;
}

std::string describe(const run_options &o) {
  std::string out = std::string(weather_names[static_cast<std::size_t>(o.aim)]) + ": nodes " +
                    std::to_string(o.nodes) + ", servers " + std::to_string(o.servers) + ", volumes " +
                    std::to_string(o.volumes) + ", threads " + std::to_string(o.threads_per_node) +
                    ", chunk " + std::to_string(o.chunk_bytes) + ", sectors " +
                    std::to_string(o.volume_sectors) + ", store chunks " + std::to_string(o.store_chunks) +
                    ", lease " + std::to_string(o.lease_ms) + " ms, barrier " + std::to_string(o.barrier_ms) +
                    " ms, " + std::to_string(o.duration / millisecond) + " ms";
  if (o.several_hosts) out += ", several hosts";
  if (o.election_can_split) out += ", election can split";
  if (!o.separate_metadata) out += ", one device";
  if (o.remote_data) out += ", remote data";
  out += "; faults:";
  for (const fault f : o.faults) out += std::string(" ") + fault_names[static_cast<std::size_t>(f)];
  return out;
}

run_options reductions::options(std::uint64_t seed) const {
  run_options o = options_of_seed(seed);
  for (const fault f : without) o.faults.erase(f);
  if (without.contains(fault::slow_disk)) o.disks.slow_per_mille = 0;
  if (without.contains(fault::slow_network))
    o.net.slow_per_mille = 0, o.net.latency_max = network_habits().latency_max;
  if (nodes) o.nodes = std::min(nodes, o.nodes);
  if (servers) o.servers = std::min(servers, o.servers);
  if (volumes) o.volumes = std::min(volumes, o.volumes);
  if (threads) o.threads_per_node = std::min(threads, o.threads_per_node);
  if (operations) o.operations_max = std::min(operations, o.operations_max);
  if (duration_ms) o.duration = std::min(o.duration, duration_ms * millisecond);
  return o;
}

std::string reductions::arguments() const {
  std::string out;
  for (const fault f : without) out += std::string(" --without ") + fault_names[static_cast<std::size_t>(f)];
  const auto number = [&](const char *name, std::int64_t value) {
    if (value) out += std::string(" --") + name + " " + std::to_string(value);
  };
  number("nodes", nodes), number("servers", servers), number("volumes", volumes), number("threads", threads);
  number("operations", operations), number("duration-ms", duration_ms);
  return out;
}

}  // namespace csnap::simulation
