// SPDX-License-Identifier: BSD-3-Clause
//
// The one narrow interface through which anything of csnap reaches a device. Implementations are in
// metaserver/device/ (files and block devices, NBD exports) and tests/support/ (memory, faults).
#pragma once

#include "metaserver/base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace csnap {

enum class durability {
  cached,   // in the device's cache when the call returns: survives the process, not a power cut
  durable,  // this write is on stable storage when the call returns (FUA); earlier ones need flush()
};

// All calls block, may be called from any thread at once, take any offset and length within size_bytes()
// and any buffer alignment, and transfer everything or fail. Errors: io; no_space where a thin device or a
// sparse file cannot grow; invalid for a range out of bounds. After a failed write the range holds old, new or
// torn sectors. After a failed flush everything since the last good one counts as lost: a later one is no proof.
class block_device {
 public:
  virtual ~block_device() = default;

  virtual std::uint64_t size_bytes() const = 0;
  // Looks at the size again, for it may have been enlarged since it was opened. Errors: io.
  virtual result<> measure() { return {}; }
  virtual result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) = 0;
  virtual result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) = 0;
  // The range then reads as zeroes. `may_unmap` allows the device to give the space back.
  virtual result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                        durability how) = 0;
  // A hint that the content is not needed. Passed down only where the range then reads as zeroes;
  // otherwise a no-op that succeeds.
  virtual result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) = 0;
  // Everything written before the call, by any thread of this process, is on stable storage.
  virtual result<> flush() = 0;
};

}  // namespace csnap
