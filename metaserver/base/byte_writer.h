// SPDX-License-Identifier: BSD-3-Clause
//
// The counterpart of byte_reader: appends little-endian values to a buffer that it owns.
#pragma once

#include "metaserver/base/check.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace csnap {

class byte_writer {
 public:
  template <class Integer>
  void integer(Integer value) {
    static_assert(std::is_unsigned_v<Integer>);
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
      bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
  }
  void u8(std::uint8_t v) { integer(v); }
  void u16(std::uint16_t v) { integer(v); }
  void u32(std::uint32_t v) { integer(v); }
  void u64(std::uint64_t v) { integer(v); }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  // A u16 length and the bytes. Precondition: at most 65535 of them.
  void text(std::string_view s) {
    check(s.size() <= 0xffff, "text too long to encode");
    u16(static_cast<std::uint16_t>(s.size()));
    raw(std::as_bytes(std::span(s.data(), s.size())));
  }
  // Appends zeroes until the buffer holds `size` bytes.
  void pad_to(std::size_t size) {
    check(bytes_.size() <= size, "pad_to a size already passed");
    bytes_.resize(size);
  }

  std::size_t size() const { return bytes_.size(); }
  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::vector<std::byte> release() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace csnap
