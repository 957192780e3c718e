// SPDX-License-Identifier: BSD-3-Clause
//
// Where things lie in a store: fixed when it is formatted, written in the superblock (docs/format.md); but the
// chunks may become more when the data device is enlarged, and then the newest root says how many they are.
//
//   metadata device:  superblock | slots, one per node | log areas, one per node | pages
//   data device:      superblock | chunks
//
// Without --metadata both are one device and the chunks follow the pages.
#pragma once

#include "metaserver/base/ids.h"

#include <cstdint>

namespace csnap::store {

inline constexpr std::uint32_t block_bytes = 4096;  // unit of all metadata I/O
inline constexpr std::uint32_t format_version = 2;
inline constexpr std::uint32_t area_count = 256;  // the page region is claimed in 256ths
inline constexpr std::uint32_t node_count_max = 64;
inline constexpr std::uint64_t superblock_copies = 2;  // blocks 0 and 1
inline constexpr std::uint64_t blocks_per_slot = 4;    // two generations, each mirrored

struct geometry {
  unique_id store;                     // made by format; every block carries it
  std::uint64_t restore_generation{};  // raised by each restore, so that no epoch is mistaken
  std::uint32_t chunk_bytes{};         // power of two, 4 KiB .. 1 MiB
  std::uint32_t node_count{};          // slots and log areas
  std::uint64_t slots_offset_bytes{};
  std::uint64_t logs_offset_bytes{};
  std::uint64_t log_blocks{};  // of each node's log area
  std::uint64_t pages_offset_bytes{};
  std::uint64_t page_count{};
  bool separate_metadata{};             // chunks are on another device than all the above
  std::uint64_t chunks_offset_bytes{};  // on the data device; a multiple of chunk_bytes
  std::uint64_t chunk_count{};
  std::int64_t created_unix_ms{};

  std::uint64_t chunks_end_bytes() const { return chunks_offset_bytes + chunk_count * chunk_bytes; }
  std::uint64_t offset_of(store_chunk chunk) const { return chunks_offset_bytes + chunk.value * chunk_bytes; }
  friend bool operator==(const geometry &, const geometry &) = default;
};

// How many chunks a store of this layout can have, whatever the size of its device.
std::uint64_t chunk_count_max(const geometry &shape);

}  // namespace csnap::store
