// SPDX-License-Identifier: BSD-3-Clause
//
// Which store chunks, or metadata pages, are in use: one bit each, in memory. A unit that was freed but may
// not be given out yet is "held": its bit stays busy here, but the map on disk already calls it free.
// The owner keeps the list of what is held, and decides when it is released.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace csnap::store {

class space_map {
 public:
  struct run {
    std::uint64_t first{};
    std::uint64_t count{};
  };

  explicit space_map(std::uint64_t unit_count);

  // More units, all of them free.
  void grow(std::uint64_t unit_count);

  std::uint64_t unit_count() const { return unit_count_; }
  std::uint64_t busy_count() const { return busy_count_; }
  bool is_busy(std::uint64_t unit) const { return (words_[unit / 64] >> (unit % 64)) & 1; }

  void take(std::uint64_t unit);      // precondition: not busy
  void hold(std::uint64_t unit);      // freed; stays busy until release()
  void release(std::uint64_t unit);   // precondition: busy; the disk's view does not change
  void free_now(std::uint64_t unit);  // hold() and release() in one

  // The first run of `wanted` free units in [begin, end), else the longest met; count 0: none is free.
  // Looks at no more than `words_max` words of 64 units once it has found any.
  run find_run(std::uint64_t begin, std::uint64_t end, std::uint64_t wanted, std::uint64_t words_max) const;

  // ---- the map as blocks on disk ----
  std::uint64_t block_count() const;
  bool is_changed(std::uint64_t block) const { return changed_[block]; }
  bool has_changed() const;
  void clear_changed();
  std::size_t payload_bytes_of(std::uint64_t block) const;
  // What is used, with held units shown as busy.
  std::vector<std::byte> payload_of_block(std::uint64_t block) const;
  result<> load_block(std::uint64_t block, std::span<const std::byte> payload);

 private:
  void mark_changed(std::uint64_t unit);

  std::uint64_t unit_count_;
  std::uint64_t busy_count_ = 0;
  std::vector<std::uint64_t> words_;
  std::vector<bool> changed_;
};

}  // namespace csnap::store
