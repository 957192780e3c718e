// SPDX-License-Identifier: BSD-3-Clause
//
// One batch of copy-outs: up to chunks_max chunks of one volume, begun in one epoch, which share one store
// write (where the store chunks are contiguous), one flush and one commit. Everything but the bytes of a slot
// is guarded by copy_out's mutex; the bytes belong to the slot's reader until it has set the state, then to
// the worker.
#pragma once

#include "metaserver/base/check.h"
#include "metaserver/base/ids.h"
#include "metaserver/base/result.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <vector>

namespace csnap::plugin {

// Page-aligned, so that a device opened with O_DIRECT takes it without another copy.
class copy_buffer {
 public:
  static constexpr std::size_t alignment = 4096;
  explicit copy_buffer(std::size_t size)
      : size_(size), bytes_(static_cast<std::byte *>(::operator new (size, std::align_val_t{alignment}))) {}
  ~copy_buffer() { ::operator delete (bytes_, std::align_val_t{alignment}); }
  copy_buffer(const copy_buffer &) = delete;
  copy_buffer &operator=(const copy_buffer &) = delete;
  std::span<std::byte> bytes() { return {bytes_, size_}; }

 private:
  std::size_t size_;
  std::byte *bytes_;
};

struct copy_slot {
  enum class state : std::uint8_t { reading, data, zero, failed } what = state::reading;
  chunk_no chunk;
  std::optional<error> failure;  // state failed
};

struct copy_batch {
  static constexpr std::size_t chunks_max = 64;
  static constexpr std::size_t bytes_max = 8u << 20;  // fewer chunks where they are large
  static std::size_t capacity(std::uint32_t chunk_bytes) {
    return std::clamp<std::size_t>(bytes_max / chunk_bytes, 1, chunks_max);
  }

  epoch_id epoch;  // at the start of the copies (rule 5)
  std::unique_ptr<copy_buffer> buffer;
  std::vector<copy_slot> slots;  // slot i's bytes are at i * chunk_bytes
  std::size_t reads_pending = 0;
  bool is_done = false;  // slots are final

  std::span<std::byte> bytes_of(std::size_t slot, std::size_t count, std::uint32_t chunk_bytes) {
    return buffer->bytes().subspan(slot * chunk_bytes, count * chunk_bytes);
  }
};

}  // namespace csnap::plugin
