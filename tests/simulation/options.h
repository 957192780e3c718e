// SPDX-License-Identifier: BSD-3-Clause
//
// What one run is made of, drawn from its seed: how many of everything, how slow, and which classes of faults
// are on. Each class is off in about half of the runs, so that rare combinations are met, too ("swarm").
#pragma once

#include "metaserver/base/full_policy.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/network.h"
#include "tests/simulation/weather.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace csnap::simulation {

enum class fault : std::uint8_t {
  server_crash,
  node_crash,
  server_freeze,
  node_freeze,
  power_cut,
  connection_loss,
  network_cut,
  suspend,
  wall_jump,
  clock_drift,
  store_errors,
  origin_errors,
  metadata_errors,
  device_full,
  damage,
  slow_disk,
  slow_network,
  failover,
  // From here on of certain weathers only.
  isolation,
  server_crash_at_write,
  power_cut_at_write,
  slow_links,
  long_sleep,
  usurper,
  stray_writes,
  lost_answers,
};
inline constexpr const char *fault_names[] = {
    "server_crash",       "node_crash",    "server_freeze",   "node_freeze", "power_cut",
    "connection_loss",    "network_cut",   "suspend",         "wall_jump",   "clock_drift",
    "store_errors",       "origin_errors", "metadata_errors", "device_full", "damage",
    "slow_disk",          "slow_network",  "failover",        "isolation",   "server_crash_at_write",
    "power_cut_at_write", "slow_links",    "long_sleep",      "usurper",     "stray_writes",
    "lost_answers"};
inline constexpr std::size_t fault_count = std::size(fault_names);
inline constexpr std::size_t fault_drawn_count = static_cast<std::size_t>(fault::isolation);

struct run_options {
  std::uint64_t seed = 0;
  weather aim = weather::mixed;
  unsigned nodes = 2, servers = 2, volumes = 1, threads_per_node = 2;
  bool several_hosts = false;  // else all processes run under one kernel
  bool election_can_split = false;
  bool separate_metadata = true;
  bool remote_data = false;  // origins and store are on another machine: nbd://
  std::uint32_t chunk_bytes = 4096;
  std::uint64_t volume_sectors = 256;
  std::uint64_t store_chunks = 256;
  std::uint32_t lease_ms = 1000, margin_ms = 300, barrier_ms = 1000;
  std::uint32_t reserve_chunks = 16;
  std::size_t cache_bytes = 1;
  nanoseconds duration = 5 * second;  // of the phase with faults
  nanoseconds pause_between_operations = 5 * millisecond;
  nanoseconds pause_between_faults = 300 * millisecond;
  nanoseconds pause_between_tools = 100 * millisecond;
  unsigned operations_max = 400;  // of all threads of all nodes together
  unsigned switch_per_mille = 0;
  unsigned readers = 0;        // so many of the nodes, the last ones, never write
  bool reads_long = false;     // a snapshot that is open is read again and again
  bool few_snapshots = false;  // deleted soon: often there is only one
  bool keeps_all = false;      // the administrator deletes nothing while there are faults
  bool keeps_oldest = false;   // of each volume: what it needs of the store is never free
  bool only_writes = false;    // who may write reads no snapshots
  std::size_t maps_min = 256;  // what a client's map cache holds at least
  bool audits_maps = false;    // what is said of places is compared with what the next master would say
  bool audits_grants = false;  // what is granted is compared with what the next master would know
  full_policy when_full = full_policy::error;
  bool keeps_room = false;  // policies, priorities and holds change, and the store is enlarged
  disk_habits disks;
  nanoseconds metadata_slow_max = 0;  // 0: the metadata are on a disk like the others
  unsigned metadata_slow_per_mille = 0;
  network_habits net;
  std::set<fault> faults;

  bool has(fault f) const { return faults.contains(f); }
};

run_options options_of_seed(std::uint64_t seed);
// One line that says everything.
std::string describe(const run_options &o);

// What may be taken away to make a failing run smaller, and what was.
struct reductions {
  std::set<fault> without;
  unsigned nodes = 0, servers = 0, volumes = 0, threads = 0, operations = 0;  // 0: as drawn
  std::int64_t duration_ms = 0;
  run_options options(std::uint64_t seed) const;
  std::string arguments() const;  // as given to the program
};

}  // namespace csnap::simulation
