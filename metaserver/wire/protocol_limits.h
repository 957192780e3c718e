// SPDX-License-Identifier: BSD-3-Clause
//
// What a peer can make us hold. Every number here is checked before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace csnap::wire {

inline constexpr std::uint16_t protocol_version = 3;
inline constexpr std::size_t frame_payload_bytes_max = 256u << 10;
inline constexpr std::size_t node_name_max = 255;
inline constexpr std::size_t device_name_max = 256;  // x volumes_max fits into one list_reply
inline constexpr std::size_t address_max = 255;
inline constexpr std::size_t error_text_max = 1000;
inline constexpr std::size_t commit_entries_max = 256;
inline constexpr std::size_t recall_entries_max = 256;
inline constexpr std::size_t group_size_max = 64;
inline constexpr std::size_t list_entries_max = 400;         // snapshots in one answer; ask again for more
inline constexpr std::size_t volumes_max = 256;              // volumes in one store
inline constexpr std::size_t diff_runs_max = 8192;           // in one answer
inline constexpr std::size_t reserve_chunks_max = 1024;      // one reservation
inline constexpr std::uint32_t segment_chunks = 256;         // unit of maps and delegations
inline constexpr std::uint32_t unshared_chunks_max = 65536;  // chunks in one unshared query
inline constexpr std::size_t requests_outstanding_max = 64;  // per connection
inline constexpr std::size_t return_runs_max = 64;           // in one return_chunks
inline constexpr std::size_t waits_per_session_max = 16;     // requests that wait for room in the store
inline constexpr std::size_t sessions_max = 256;             // in one store
inline constexpr std::size_t snapshots_open_max = 4096;      // per session
inline constexpr std::size_t connections_max = 1024;
inline constexpr int handshake_deadline_ms = 10000;  // from accept to a good hello
inline constexpr int frame_deadline_ms = 30000;      // from the first byte of a frame to its last

}  // namespace csnap::wire
