// SPDX-License-Identifier: BSD-3-Clause
//
// When the core wants to be woken: what is due must not wait for the next message, and an idle server must not spin.
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

std::int64_t wait_of(const test_server &server) {
  return server.core->next_tick(server.now).value - server.now.value;
}

}  // namespace

TEST_CASE("next tick: a second when nothing is under way, and when a lease ends sooner, then") {
  test_server server;
  CHECK(wait_of(server) == 1000);
  test_client client(server, 1);
  CHECK(wait_of(server) == 1000);
  server.advance(test_lease_over_ms - 400);
  CHECK(wait_of(server) == 400);
  server.advance(400);  // expired: nothing ends any more
  CHECK(wait_of(server) == 1000);
}

TEST_CASE("next tick: the deadline of a create, until it is being recorded") {
  test_server server;
  test_client writer(server, 1), tool(server, 4, wire::client_role::tool);
  writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  const auto request = tool.send(create_of("a", "s"));
  const std::int64_t deadline_ms = server.engine->current_settings().barrier_ms;
  server.advance(deadline_ms - 300);
  writer.ask<wire::renewed>(wire::renew{});
  CHECK(wait_of(server) == 300);
  SECTION("it comes") {
    server.advance(300);
    CHECK(tool.take<wire::failed>(request).code == errc::timed_out);
  }
  SECTION("all have answered") {
    server.durable_at_once = false;
    writer.tell(wire::freeze_answer{writer.pushed<wire::freeze>()->barrier});
    CHECK(wait_of(server) == 1000);
    server.make_durable();
    tool.take<wire::created>(request);
  }
}

TEST_CASE("next tick: the end of grace") {
  test_server server;
  test_client client(server, 1);
  server.restart();
  server.advance(test_lease_over_ms - 200);
  REQUIRE(server.core->status(server.now).in_grace);
  CHECK(wait_of(server) == 200);
  server.advance(200);
  CHECK_FALSE(server.core->status(server.now).in_grace);
}

TEST_CASE("next tick: at once while the reaper has work") {
  test_server server({}, 10);
  test_client writer(server, 1), tool(server, 4, wire::client_role::tool);
  tool.ask<wire::created>(create_of("a", "s"));
  const auto volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  const auto places = writer.ask<wire::reserved>(wire::reserve{100, {}});
  for (std::uint64_t c = 0; c < 100; ++c) writer.ask<wire::committed>(commit_of(volume, places, c, c));
  CHECK(wait_of(server) == 1000);
  tool.ask<wire::done>(remove_of("a", "s"));
  int ticks = 0;
  for (; wait_of(server) == 0 && ticks < 100; ++ticks) server.tick();
  CHECK(ticks >= 10);
  CHECK(wait_of(server) == 1000);
  CHECK(server.engine->exceptions_of(volume.id) == 0);
}

TEST_CASE(
    "next tick: while a request waits for room, the end of waiting for what was called back, then the next "
    "try") {
  test_server server({}, 4096, 5800u << 10);
  test_client writer(server, 1), silent(server, 2), tool(server, 4, wire::client_role::tool);
  tool.ask<wire::done>(wire::set_volume{request_id(), "a", full_policy::snapshot_first});
  const auto volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  while (server.engine->chunks_free_now() > 0)
    silent.ask<wire::reserved>(wire::reserve{1000, knows_all, volume.id, true});
  const auto request = writer.send(wire::reserve{1, knows_all, volume.id, true});
  REQUIRE(silent.pushed<wire::reclaim>());
  CHECK(wait_of(server) == 500);
  server.advance(500);
  CHECK_FALSE(writer.answer(request));
  CHECK(wait_of(server) == 1000);
  server.advance(700);
  CHECK(wait_of(server) == 300);
  CHECK_FALSE(silent.pushed<wire::reclaim>());
  server.advance(300);
  CHECK(silent.pushed<wire::reclaim>());
  CHECK(wait_of(server) == 500);
}
