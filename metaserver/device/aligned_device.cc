// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/aligned_device.h"

#include "metaserver/base/check.h"
#include "metaserver/device/positioned_io.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace csnap {

namespace {

constexpr std::size_t bounce_bytes_max = 1u << 20;
constexpr std::size_t bounce_alignment = 4096;

// Page-aligned memory for one piece of a request.
class bounce_buffer {
 public:
  explicit bounce_buffer(std::size_t size)
      : size_(size),
        memory_(static_cast<std::byte *>(::operator new (size, std::align_val_t{bounce_alignment}))) {}
  ~bounce_buffer() { ::operator delete (memory_, std::align_val_t{bounce_alignment}); }
  bounce_buffer(const bounce_buffer &) = delete;
  bounce_buffer &operator=(const bounce_buffer &) = delete;
  std::span<std::byte> first(std::size_t count) { return std::span(memory_, size_).first(count); }

 private:
  std::size_t size_;
  std::byte *memory_;
};

}  // namespace

aligned_device::aligned_device(std::unique_ptr<opened_device> inner, alignment needs)
    : inner_(std::move(inner)), needs_(needs) {
  check(needs.block_bytes > 0 && (needs.block_bytes & (needs.block_bytes - 1)) == 0,
        "block size no power of two");
  check(needs.block_bytes <= bounce_bytes_max && needs.address_bytes <= bounce_alignment,
        "alignment too large");
  check(is_aligned(inner_->size_bytes(), 0), "device size is not whole blocks");
}

result<> aligned_device::read(std::uint64_t offset, std::span<std::byte> into) {
  if (auto r = check_range(*this, offset, into.size()); !r) return r;
  if (is_aligned(offset, into.size()) && is_direct(into.data())) return inner_->read(offset, into);
  const std::uint64_t end = up(offset + into.size());
  bounce_buffer bounce(std::min<std::uint64_t>(end - down(offset), bounce_bytes_max));
  while (!into.empty()) {
    const std::uint64_t begin = down(offset);
    const auto piece = bounce.first(std::min<std::uint64_t>(end - begin, bounce_bytes_max));
    if (auto r = inner_->read(begin, piece); !r) return r;
    const std::size_t skip = offset - begin;
    const std::size_t count = std::min(piece.size() - skip, into.size());
    std::memcpy(into.data(), piece.data() + skip, count);
    into = into.subspan(count);
    offset += count;
  }
  return {};
}

result<> aligned_device::write(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  if (auto r = check_range(*this, offset, from.size()); !r) return r;
  const std::uint64_t begin = down(offset), end = up(offset + from.size());
  if (is_aligned(offset, from.size())) {
    const auto held = writes_.lock_shared(begin, end);
    return write_whole(offset, from, how);
  }
  const auto held = writes_.lock_exclusive(begin, end);
  return write_locked(offset, from, how);
}

result<> aligned_device::write_locked(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  while (!from.empty()) {
    const std::uint64_t begin = down(offset);
    const bool partial = begin != offset || from.size() < needs_.block_bytes;
    const std::size_t count = partial
                                  ? std::min<std::uint64_t>(begin + needs_.block_bytes - offset, from.size())
                                  : down(from.size());
    const auto piece = from.first(count);
    if (auto r = partial ? write_part(offset, piece, how) : write_whole(offset, piece, how); !r) return r;
    from = from.subspan(count);
    offset += count;
  }
  return {};
}

result<> aligned_device::write_whole(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  if (is_direct(from.data())) return inner_->write(offset, from, how);
  bounce_buffer bounce(std::min(from.size(), bounce_bytes_max));
  while (!from.empty()) {
    const auto piece = bounce.first(std::min(from.size(), bounce_bytes_max));
    std::memcpy(piece.data(), from.data(), piece.size());
    if (auto r = inner_->write(offset, piece, how); !r) return r;
    from = from.subspan(piece.size());
    offset += piece.size();
  }
  return {};
}

result<> aligned_device::write_part(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  bounce_buffer bounce(needs_.block_bytes);
  const auto block = bounce.first(needs_.block_bytes);
  if (auto r = inner_->read(down(offset), block); !r) return r;
  std::memcpy(block.data() + (offset - down(offset)), from.data(), from.size());
  return inner_->write(down(offset), block, how);
}

result<> aligned_device::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  const std::uint64_t end = offset + length;
  if (is_aligned(offset, length)) {
    const auto held = writes_.lock_shared(offset, end);
    return inner_->zero(offset, length, may_unmap, how);
  }
  const auto held = writes_.lock_exclusive(down(offset), up(end));
  const std::uint64_t middle = std::min(up(offset), end), middle_end = std::max(down(end), middle);
  const std::vector<std::byte> zeroes(needs_.block_bytes);
  if (auto r = write_locked(offset, std::span(zeroes).first(middle - offset), how); !r) return r;
  if (middle < middle_end)
    if (auto r = inner_->zero(middle, middle_end - middle, may_unmap, how); !r) return r;
  return write_locked(middle_end, std::span(zeroes).first(end - middle_end), how);
}

result<> aligned_device::trim(std::uint64_t offset, std::uint64_t length) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  const std::uint64_t begin = up(offset), end = down(offset + length);
  if (begin >= end) return {};
  const auto held = writes_.lock_shared(begin, end);
  return inner_->trim(begin, end - begin);
}

}  // namespace csnap
