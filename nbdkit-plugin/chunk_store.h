// SPDX-License-Identifier: BSD-3-Clause
//
// The snapshot store's data device, addressed by store chunk. Shared by all volumes of the process.
// Thread-safe.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/base/ids.h"
#include "metaserver/device/flush_queue.h"
#include "metaserver/wire/messages.h"

namespace csnap::plugin {

class chunk_store {
 public:
  // `layout` is the server's word and the store device's label was found to agree.
  chunk_store(block_device &device, const wire::welcome &layout)
      : device_(device), chunk_bytes_(layout.chunk_bytes), offset_bytes_(layout.chunks_offset_bytes) {}

  std::uint32_t chunk_bytes() const { return chunk_bytes_; }
  // Reads from `skip_bytes` after the begin of `first`; may go on into the chunks that follow. Errors: io, also
  // for a place beyond the end of the device: the store was enlarged, but not as seen from here.
  result<> read(store_chunk first, std::uint64_t skip_bytes, std::span<std::byte> into);
  // Whole chunks. Durable after the next flush().
  result<> write(store_chunk first, std::span<const std::byte> from);
  // A failure is for good: what was written may be lost, so no copy-out may succeed on this device any more,
  // whichever volume's worker met the error.
  result<> flush();

 private:
  result<std::uint64_t> offset_of(store_chunk first, std::uint64_t skip_bytes, std::uint64_t length);

  block_device &device_;
  const std::uint32_t chunk_bytes_;
  const std::uint64_t offset_bytes_;
  flush_queue flushes_;
};

}  // namespace csnap::plugin
