// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/diff_runs.h"
#include "metaserver/cli/table.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::cli;

namespace {

std::vector<wire::diff_run> runs(std::initializer_list<wire::diff_run> list) { return list; }

}  // namespace

TEST_CASE("diff runs: neighbours are merged, also over two answers, and the last is clipped to the volume") {
  std::vector<byte_run> out;
  REQUIRE(append_runs(out, runs({{chunk_no{0}, 1, false}, {chunk_no{1}, 2, false}, {chunk_no{3}, 1, true}}),
                      4096, 22000));
  REQUIRE(append_runs(out, runs({{chunk_no{4}, 1, true}, {chunk_no{5}, 3, false}}), 4096, 22000));
  CHECK(out == std::vector<byte_run>{{0, 12288, false}, {12288, 8192, true}, {20480, 1520, false}});
}

TEST_CASE("diff runs: chunks behind the volume's end are left out, whatever their number") {
  std::vector<byte_run> out;
  REQUIRE(append_runs(
      out, runs({{chunk_no{1}, ~std::uint64_t{0}, false}, {chunk_no{~std::uint64_t{0}}, 5, false}}), 4096,
      8192));
  CHECK(out == std::vector<byte_run>{{4096, 4096, false}});
}

TEST_CASE("diff runs: an answer that goes back is refused") {
  std::vector<byte_run> out;
  CHECK_FALSE(append_runs(out, runs({{chunk_no{3}, 2, false}, {chunk_no{4}, 1, false}}), 4096, 1 << 20));
}

TEST_CASE("table: columns are aligned and lines have no blanks at the end") {
  table t({{"NAME", table::align::left}, {"SIZE", table::align::right}, {"STATE", table::align::left}});
  t.add({"a", "10", "live"});
  t.add({"longer", "7", ""});
  CHECK(t.text() ==
        "NAME    SIZE  STATE\n"
        "a         10  live\n"
        "longer     7\n");
}

TEST_CASE("table: ages and durations") {
  CHECK(age_text(5000, 4000) == "just now");
  CHECK(age_text(0, 59999) == "59 s ago");
  CHECK(age_text(0, 3600 * 1000) == "1 hour ago");
  CHECK(age_text(0, 86400LL * 3000) == "3 days ago");
  CHECK(duration_text(59) == "59 s");
  CHECK(duration_text(3660) == "1 h 1 min");
  CHECK(duration_text(90000) == "1 d 1 h");
}
