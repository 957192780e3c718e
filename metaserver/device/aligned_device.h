// SPDX-License-Identifier: BSD-3-Clause
//
// Makes a device that takes only whole, aligned blocks (O_DIRECT, some NBD servers) take any range and any
// buffer. Requests that are aligned already go straight through. A write of part of a block reads and
// rewrites that one block and nothing beyond it, since other nodes may write its neighbours.
#pragma once

#include "metaserver/device/open_device.h"
#include "metaserver/device/range_lock.h"

namespace csnap {

struct alignment {
  std::size_t block_bytes = 512;    // of offsets and lengths; a power of two
  std::size_t address_bytes = 512;  // of buffers; a power of two, <= 4096
};

class aligned_device final : public opened_device {
 public:
  // Precondition: the size of `inner` is a multiple of the block size.
  aligned_device(std::unique_ptr<opened_device> inner, alignment needs);

  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  result<> measure() override { return inner_->measure(); }
  result<> read(std::uint64_t offset_bytes, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) override;
  result<> zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool may_unmap,
                durability how) override;
  result<> trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  result<> flush() override { return inner_->flush(); }
  bool io_ends_with_process() const override { return inner_->io_ends_with_process(); }

 private:
  std::uint64_t down(std::uint64_t offset) const { return offset & ~std::uint64_t{needs_.block_bytes - 1}; }
  std::uint64_t up(std::uint64_t offset) const { return down(offset + needs_.block_bytes - 1); }
  bool is_aligned(std::uint64_t offset, std::uint64_t length) const {
    return ((offset | length) & (needs_.block_bytes - 1)) == 0;
  }
  bool is_direct(const std::byte *address) const {
    return (reinterpret_cast<std::uintptr_t>(address) & (needs_.address_bytes - 1)) == 0;
  }
  // Precondition: the caller holds the range locked, exclusively unless the range is aligned.
  result<> write_locked(std::uint64_t offset, std::span<const std::byte> from, durability how);
  result<> write_whole(std::uint64_t offset, std::span<const std::byte> from, durability how);
  result<> write_part(std::uint64_t offset, std::span<const std::byte> from, durability how);

  std::unique_ptr<opened_device> inner_;
  const alignment needs_;
  range_lock writes_;
};

}  // namespace csnap
