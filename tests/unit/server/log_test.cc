// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/log.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::server;

TEST_CASE("limited log: a flood is cut, and the next window tells how much was left out") {
  limited_log limit;
  std::uint64_t left_out = 99;
  for (int i = 0; i < limited_log::lines_max; ++i) {
    CHECK(limit.allows(1000, &left_out));
    CHECK(left_out == 0);
  }
  for (int i = 0; i < 7; ++i) CHECK_FALSE(limit.allows(1000 + limited_log::window_ms - 1, &left_out));
  CHECK(limit.allows(1000 + limited_log::window_ms, &left_out));
  CHECK(left_out == 7);
  CHECK(limit.allows(1000 + limited_log::window_ms, &left_out));
  CHECK(left_out == 0);
}

TEST_CASE("log: levels are known by name") {
  CHECK(parse_log_level("warning").value() == log_level::warning);
  CHECK(parse_log_level("loud").error().code == errc::invalid);
}
