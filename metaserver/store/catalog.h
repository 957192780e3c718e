// SPDX-License-Identifier: BSD-3-Clause
//
// The small things of a store, all kept in memory and mirrored in the catalog tree: volumes, their
// snapshots, sessions, reservations of store chunks, settings, and which requests were already done.
#pragma once

#include "metaserver/base/full_policy.h"
#include "metaserver/base/ids.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace csnap::store {

struct volume_info {
  volume_id id;
  std::string name;
  std::string device;  // as given to format: a hint for nodes that say nothing else
  std::uint64_t size_bytes{};
  epoch_id epoch;             // number 0: never had a snapshot
  chunk_no reap_cursor;       // where the reaper goes on
  std::uint64_t reap_pass{};  // completed passes of the reaper over this volume
  // Clones (not offered yet): the snapshot that this volume was made of, or volume 0.
  volume_id parent_volume;
  snapshot_number parent_snapshot;
  full_policy when_full = full_policy::error;
  bool unflushed{};            // a writer was killed, and what it completed nobody has flushed since
  std::uint64_t sacrificed{};  // snapshots that were ever given up for room
  friend bool operator==(const volume_info &, const volume_info &) = default;
};

enum class snapshot_state : std::uint8_t {
  live = 1,
  dying = 2,  // deleted, its name is free again; still counts as live for sharing (design rule 14)
  dead = 3,   // nobody can read it: the reaper frees what only it needed
};

struct snapshot_info {
  volume_id volume;
  snapshot_number number;
  std::string name;
  snapshot_state state = snapshot_state::live;
  std::int64_t created_unix_ms{};
  std::int32_t priority{};
  std::uint64_t size_bytes{};        // of the volume when the snapshot was made
  std::uint64_t reap_pass{};         // dead: gone when the volume has completed more passes than this
  bool sacrificed{};                 // dying or dead: given up for room, not deleted by anybody
  std::vector<std::string> holds{};  // tags; while there is one it is neither deleted nor given up
  bool counts_for_sharing() const { return state != snapshot_state::dead; }
  friend bool operator==(const snapshot_info &, const snapshot_info &) = default;
};

struct session_info {
  session_id id;
  unique_id secret;  // proves that who resumes the session is who opened it
  std::string node;  // host name, for people
  unique_id boot;    // space of the client's process: docs/protocol.md, hello
  std::uint32_t pid{};
  std::uint64_t process_start{};  // /proc/PID/stat field 22, in clock ticks
  bool io_ends_with_process{};    // false: its devices are remote, a dead process proves nothing
  std::uint32_t lease_ms{};       // the longest ever granted to it
  friend bool operator==(const session_info &, const session_info &) = default;
};

// A run of store chunks set aside for one session. A bit that is set: still reserved. A chunk leaves when
// an exception takes it, and the whole when the session ends with proof.
inline constexpr std::uint32_t reservation_chunks_max = 1024;
struct reservation_info {
  reservation_id id;
  session_id session;
  store_chunk first;
  std::uint32_t count{};
  std::vector<bool> reserved;  // `count` of them
  friend bool operator==(const reservation_info &, const reservation_info &) = default;
};

struct settings {
  std::uint32_t lease_ms = 5000;
  std::uint32_t lease_margin_ms = 1000;  // what a server adds for drift before it calls a lease over
  std::uint32_t barrier_ms = 5000;
  std::uint32_t longest_lease_ms = 0;  // longest lease + margin that any term granted: bounds grace
  friend bool operator==(const settings &, const settings &) = default;
};

// One exception: what chunk `chunk` of a volume was for every snapshot numbered in
// (previous exception's number, number].
struct exception {
  chunk_no chunk;
  snapshot_number number;
  store_chunk place;
  friend bool operator==(const exception &, const exception &) = default;
};

}  // namespace csnap::store
