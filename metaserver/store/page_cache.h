// SPDX-License-Identifier: BSD-3-Clause
//
// Tree pages in memory. A frame is fresh (changed in place; no checkpoint has it), frozen (part of the
// checkpoint that is under way, not yet surely on disk) or clean. Only clean frames are evicted, and only in
// trim(): a frame pointer is good until the next trim() or drop(). Single owner: the engine.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/engine.h"

#include <array>
#include <list>
#include <unordered_map>
#include <vector>

namespace csnap::store {

enum class frame_state : std::uint8_t { clean, fresh, frozen };

struct frame {
  page_pointer where;
  block_type type{};
  std::uint32_t level{};  // 0: leaf
  std::uint32_t count{};  // entries
  std::uint32_t entry_bytes{};
  frame_state state = frame_state::clean;
  std::array<std::byte, block_bytes> block{};  // the header's place is filled in when it is sealed

  std::byte *entry(std::size_t index) { return block.data() + header_bytes + index * entry_bytes; }
  const std::byte *entry(std::size_t index) const {
    return block.data() + header_bytes + index * entry_bytes;
  }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(payload_bytes_max / entry_bytes); }
};

std::uint32_t entry_bytes_of(block_type type, std::uint32_t level);

class page_cache {
 public:
  page_cache(block_device &device, const geometry &shape, std::size_t cache_bytes,
             const planted_mistakes &planted = {});

  // Reads and verifies what is not here: own number, store, checksum, type, generation, term, order of keys.
  result<frame *> fetch(page_pointer where, block_type type);
  frame &add_fresh(page_pointer where, block_type type, std::uint32_t level);
  // The page is free; its frame, if any, goes.
  void drop(page_pointer where);
  void trim();

  // Fresh frames become frozen, and sealed copies of them writes, adjacent pages in one.
  std::vector<device_write> freeze();
  void frozen_are_durable();

  std::size_t capacity() const { return capacity_; }
  std::size_t frame_count() const { return frames_.size(); }
  std::size_t fresh_count() const { return fresh_count_; }
  std::size_t frozen_count() const { return frozen_count_; }

 private:
  void forget_state(const frame &f);

  block_device &device_;
  geometry shape_;
  const planted_mistakes planted_;
  std::size_t capacity_;
  std::size_t fresh_count_ = 0, frozen_count_ = 0;
  std::list<frame> frames_;  // most recently used first
  std::unordered_map<std::uint64_t, std::list<frame>::iterator> by_block_;
};

}  // namespace csnap::store
