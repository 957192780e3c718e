// SPDX-License-Identifier: BSD-3-Clause
//
// The one way in for bytes from disk or network. Little endian. A read past the end gives zeroes and
// makes the reader fail for good; the caller asks ok() once at the end, so no length is ever trusted
// before it has been compared with what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

namespace csnap {

class byte_reader {
 public:
  explicit byte_reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class Integer>
  Integer integer() {
    static_assert(std::is_unsigned_v<Integer>);
    const auto raw = take(sizeof(Integer));
    Integer value{};
    for (std::size_t i = 0; i < raw.size(); ++i)
      value =
          static_cast<Integer>(value | (static_cast<Integer>(std::to_integer<unsigned>(raw[i])) << (8 * i)));
    return value;
  }
  std::uint8_t u8() { return integer<std::uint8_t>(); }
  std::uint16_t u16() { return integer<std::uint16_t>(); }
  std::uint32_t u32() { return integer<std::uint32_t>(); }
  std::uint64_t u64() { return integer<std::uint64_t>(); }

  // The next `count` bytes, or none and a failed reader.
  std::span<const std::byte> take(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }
  // A u16 length and that many bytes; more than `limit` fails.
  std::string text(std::size_t limit) {
    const std::size_t length = u16();
    if (length > limit) {
      fail();
      return {};
    }
    const auto raw = take(length);
    return std::string(reinterpret_cast<const char *>(raw.data()), raw.size());
  }

  void fail() { ok_ = false, rest_ = {}; }
  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }
  bool finished() const { return ok_ && rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace csnap
