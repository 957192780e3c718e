// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"

#include "metaserver/base/ids.h"

#include <catch2/catch.hpp>

namespace csnap {
namespace {

TEST_CASE("names: letters, digits, dot, underscore and dash, 1 to 64 of them") {
  for (const char *good : {"a", "0", "vol", "vm-disk_1.img", "2024-01-01", "a.b.c"}) {
    INFO(good);
    REQUIRE(is_valid_name(good));
  }
  for (const char *bad :
       {"", ".", "-a", "_a", ".a", "a b", "a@b", "a/b", "a..b", "a..", "\xc3\xa4", "a\n", "a:b"}) {
    INFO(bad);
    REQUIRE_FALSE(is_valid_name(bad));
  }
  REQUIRE(is_valid_name(std::string(64, 'x')));
  REQUIRE_FALSE(is_valid_name(std::string(65, 'x')));
  REQUIRE_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

TEST_CASE("names: a refused name is shown without control characters and not at any length") {
  const auto e = invalid_name("volume", "\x1b[2J" + std::string(500, 'x'));
  REQUIRE(e.code == errc::invalid);
  REQUIRE(e.text.find('\x1b') == std::string::npos);
  REQUIRE(e.text.size() < 300);
}

TEST_CASE("names: a snapshot's name has a volume and a snapshot") {
  const auto good = parse_snapshot_name("vol@s1");
  REQUIRE(good.has_value());
  REQUIRE(good->volume == "vol");
  REQUIRE(good->snapshot == "s1");
  for (const char *bad : {"", "vol", "@", "vol@", "@s1", "vol@s1@s2", "vol@a..b", "v l@s"}) {
    INFO(bad);
    REQUIRE_FALSE(parse_snapshot_name(bad).has_value());
  }
}

TEST_CASE("names: an export is an origin, a snapshot or a difference") {
  const auto origin = parse_export_name("vol");
  REQUIRE(origin.has_value());
  REQUIRE(origin->is_origin());
  REQUIRE_FALSE(origin->is_difference());
  const auto snapshot = parse_export_name("vol@s1.x");
  REQUIRE(snapshot.has_value());
  REQUIRE_FALSE(snapshot->is_origin());
  REQUIRE(snapshot->snapshot == "s1.x");
  const auto difference = parse_export_name("vol@a.1..b");
  REQUIRE(difference.has_value());
  REQUIRE(difference->is_difference());
  REQUIRE(difference->since == "a.1");
  REQUIRE(difference->snapshot == "b");
  for (const char *bad : {"", "@", "vol@", "@s", "vol@..", "vol@a..", "vol@..b", "vol@a...b", "vol@a..b..c",
                          "a..b", "vol@a@b"}) {
    INFO(bad);
    REQUIRE_FALSE(parse_export_name(bad).has_value());
  }
}

TEST_CASE("sizes: bytes or a number with K, M, G or T; overflow is refused") {
  REQUIRE(*parse_size("0") == 0);
  REQUIRE(*parse_size("4096") == 4096);
  REQUIRE(*parse_size("64K") == 65536);
  REQUIRE(*parse_size("1m") == 1048576);
  REQUIRE(*parse_size("2G") == 2147483648u);
  REQUIRE(*parse_size("16777215T") == 16777215ull << 40);
  REQUIRE(*parse_size("18446744073709551615") == ~std::uint64_t{0});
  for (const char *bad :
       {"", "K", "-1", "1.5G", "64 K", "64KB", "16777216T", "18446744073709551616", "0x10", "1k1"}) {
    INFO(bad);
    REQUIRE_FALSE(parse_size(bad).has_value());
  }
}

TEST_CASE("sizes: shown with the largest unit that fits") {
  REQUIRE(format_size(0) == "0 B");
  REQUIRE(format_size(1023) == "1023 B");
  REQUIRE(format_size(1536) == "1.5 KiB");
  REQUIRE(format_size(std::uint64_t{3} << 40) == "3 TiB");
}

TEST_CASE("ids: text for people") {
  unique_id id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(i * 17);
  REQUIRE(to_text(id) == "00112233-4455-6677-8899-aabbccddeeff");
  REQUIRE(to_text(term_id{12, 3}) == "12.3");
}

TEST_CASE("ids: terms are ordered by counter, then node") {
  REQUIRE(term_id{2, 0} > term_id{1, 9});
  REQUIRE(term_id{2, 1} > term_id{2, 0});
}

}  // namespace
}  // namespace csnap
