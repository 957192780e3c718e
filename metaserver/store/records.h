// SPDX-License-Identifier: BSD-3-Clause
//
// What the log holds: every change of a store is one of these, and replaying them in order onto a
// checkpoint gives the same state again. They say what was decided, not why; the core decides.
// Layout and limits: docs/format.md, section "Records".
#pragma once

#include "metaserver/base/result.h"
#include "metaserver/store/catalog.h"

#include <span>
#include <variant>
#include <vector>

namespace csnap::store {

inline constexpr std::size_t exceptions_per_record_max = 256;
inline constexpr std::size_t group_size_max = 64;
inline constexpr std::size_t volumes_per_record_max = 1024;
inline constexpr std::size_t record_bytes_max = 16384;

// Replaces the whole catalog entry of that id.
struct volume_added {
  volume_info volume;
};
struct settings_changed {
  settings values;
};
// One number for all members; the epoch of each volume named becomes (number, nonce). Its writers have flushed.
struct snapshots_created {
  unique_id request;
  snapshot_number number;
  std::uint64_t epoch_nonce{};
  std::int64_t created_unix_ms{};
  std::int32_t priority{};
  struct member {
    volume_id volume;
    std::string name;
  };
  std::vector<member> members;  // <= group_size_max
};
struct snapshot_renamed {
  unique_id request;
  volume_id volume;
  snapshot_number number;
  std::string name;
};
struct snapshot_deleted {
  unique_id request;
  volume_id volume;
  snapshot_number number;
  bool sacrificed{};  // given up for room
};                    // live -> dying
struct snapshot_died {
  volume_id volume;
  snapshot_number number;
};  // dying -> dead
// The chunks named get exceptions under `number`; each that is stored leaves its reservation.
struct exceptions_added {
  volume_id volume;
  snapshot_number number;
  session_id session;
  struct entry {
    chunk_no chunk;
    reservation_id reservation;
    store_chunk place;
  };                           // zero(): reservation 0
  std::vector<entry> entries;  // <= exceptions_per_record_max
};
struct session_opened {
  session_info session;
};
// With proof that none of its I/O is in flight: its reservations are free again.
struct session_closed {
  session_id session;
  std::vector<volume_id> unflushed{};  // what it had completed there, nobody has flushed
};
struct chunks_reserved {
  reservation_id id;
  session_id session;
  store_chunk first;
  std::uint32_t count{};
};
// One bounded step of the reaper: every exception of a chunk in [first, end) whose interval holds no
// snapshot that counts for sharing is removed and its store chunk freed; then the volume's cursor is
// `end`, or, if `pass_done`, 0 with one more pass completed and the dead snapshots of before it forgotten.
// Deterministic: a replay meets the same snapshots.
struct reaped {
  volume_id volume;
  chunk_no first;
  chunk_no end;
  bool pass_done{};
};

struct volume_changed {
  unique_id request;
  volume_id volume;
  full_policy when_full = full_policy::error;
};
struct snapshot_changed {
  unique_id request;
  volume_id volume;
  snapshot_number number;
  std::int32_t priority{};
};
struct snapshot_held {
  unique_id request;
  volume_id volume;
  snapshot_number number;
  std::string tag;
};
struct snapshot_released {
  unique_id request;
  volume_id volume;
  snapshot_number number;
  std::string tag;
};
// The session gives chunks back that it reserved and has no I/O on: they are free again.
struct chunks_returned {
  reservation_id id;
  session_id session;
  store_chunk first;
  std::uint32_t count{};
};
// The data device was enlarged: so many chunks from now on.
struct store_grown {
  std::uint64_t chunk_count{};
};

using record = std::variant<volume_added, settings_changed, snapshots_created, snapshot_renamed,
                            snapshot_deleted, snapshot_died, exceptions_added, session_opened, session_closed,
                            chunks_reserved, reaped, volume_changed, snapshot_changed, snapshot_held,
                            snapshot_released, chunks_returned, store_grown>;

// Encoded as u16 type (1 + index in the variant), u16 reserved, u32 payload length, payload.
std::vector<std::byte> encode_record(const record &r);
// Errors: corrupt, with what is wrong. `bytes` is exactly one record.
result<record> decode_record(std::span<const std::byte> bytes);

}  // namespace csnap::store
