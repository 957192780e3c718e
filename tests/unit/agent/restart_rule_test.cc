// SPDX-License-Identifier: BSD-3-Clause
#include "agent/restart_rule.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::agent;

TEST_CASE("restart_rule: a server that ends at once is started again five times, ever later, and then left") {
  restart_rule rule;
  rule.asked_for();
  for (const std::int64_t wait_ms : {1000, 2000, 4000, 8000, 16000}) {
    rule.started(boottime_ms{5000});
    CHECK(rule.ended(boottime_ms{5100}) == wait_ms);
  }
  rule.started(boottime_ms{5000});
  CHECK_FALSE(rule.ended(boottime_ms{5100}));
  rule.asked_for();
  CHECK(rule.ended(boottime_ms{5100}) == 1000);
}

TEST_CASE("restart_rule: a server that ran for a minute has not failed to start") {
  restart_rule rule;
  for (int i = 0; i < 20; ++i) {
    rule.started(boottime_ms{i * 100000});
    CHECK(rule.ended(boottime_ms{i * 100000 + restart_rule::good_run_ms}) == 1000);
  }
}
