// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/base/crc32c.h"

#include <catch2/catch.hpp>

#include <string_view>
#include <vector>

namespace csnap {
namespace {

std::span<const std::byte> of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::vector<std::byte> sequence(unsigned first, int step) {
  std::vector<std::byte> out;
  for (int i = 0; i < 32; ++i) out.push_back(static_cast<std::byte>(static_cast<int>(first) + step * i));
  return out;
}

TEST_CASE("crc32c: the vectors of RFC 3720 B.4") {
  REQUIRE(crc32c({}) == 0u);
  REQUIRE(crc32c(of("123456789")) == 0xe3069283u);
  REQUIRE(crc32c(sequence(0x00, 0)) == 0x8a9136aau);
  REQUIRE(crc32c(sequence(0xff, 0)) == 0x62a8ab43u);
  REQUIRE(crc32c(sequence(0x00, 1)) == 0x46dd794eu);
  REQUIRE(crc32c(sequence(0x1f, -1)) == 0x113fdb5cu);
}

TEST_CASE("crc32c: pieces of any length and alignment give the sum of the whole") {
  std::vector<std::byte> data(300);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37 + 11);
  const std::span<const std::byte> whole(data);
  for (std::size_t begin = 0; begin < 9; ++begin)
    for (std::size_t cut = begin; cut <= data.size(); cut += 7)
      REQUIRE(crc32c(whole.subspan(cut), crc32c(whole.subspan(begin, cut - begin))) ==
              crc32c(whole.subspan(begin)));
}

TEST_CASE("bytes: what is written is read again, little endian") {
  byte_writer out;
  out.u8(0x12), out.u16(0x3456), out.u32(0x789abcde), out.u64(0x0123456789abcdef), out.text("name");
  REQUIRE(out.size() == 1 + 2 + 4 + 8 + 2 + 4);
  REQUIRE(out.bytes()[1] == std::byte{0x56});
  REQUIRE(out.bytes()[7] == std::byte{0xef});
  byte_reader in(out.bytes());
  REQUIRE(in.u8() == 0x12);
  REQUIRE(in.u16() == 0x3456);
  REQUIRE(in.u32() == 0x789abcde);
  REQUIRE(in.u64() == 0x0123456789abcdef);
  REQUIRE(in.text(4) == "name");
  REQUIRE(in.finished());
}

TEST_CASE("bytes: reading past the end gives zeroes and fails for good") {
  const auto three = of("abc");
  byte_reader in(three);
  REQUIRE(in.u32() == 0);
  REQUIRE_FALSE(in.ok());
  REQUIRE(in.remaining() == 0);
  REQUIRE(in.u8() == 0);
  REQUIRE_FALSE(in.finished());

  byte_reader exact(three);
  REQUIRE(exact.take(3).size() == 3);
  REQUIRE(exact.finished());
  REQUIRE(exact.take(0).empty());
  REQUIRE(exact.ok());
}

TEST_CASE("bytes: a text longer than its limit or than what is left is refused") {
  byte_writer out;
  out.text("12345");
  byte_reader too_long(out.bytes());
  REQUIRE(too_long.text(4).empty());
  REQUIRE_FALSE(too_long.ok());
  byte_reader cut(std::span<const std::byte>(out.bytes()).first(6));
  REQUIRE(cut.text(100).empty());
  REQUIRE_FALSE(cut.ok());
}

TEST_CASE("bytes: bytes left over are noticed") {
  byte_reader in(of("ab"));
  REQUIRE(in.u8() == 'a');
  REQUIRE(in.ok());
  REQUIRE_FALSE(in.finished());
}

TEST_CASE("bytes: padding fills with zeroes") {
  byte_writer out;
  out.u8(7);
  out.pad_to(4);
  const auto all = out.release();
  REQUIRE(all == std::vector<std::byte>{std::byte{7}, std::byte{0}, std::byte{0}, std::byte{0}});
}

}  // namespace
}  // namespace csnap
