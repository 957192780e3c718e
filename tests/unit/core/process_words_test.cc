// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

unique_id space_of(std::uint8_t first) {
  unique_id id;
  id.bytes[15] = std::byte{first};
  return id;
}

constexpr std::uint64_t start = 1000;

// A client whose hello says where it runs.
struct placed_client : test_client {
  placed_client(test_server &server, std::uint32_t pid, const unique_id &space, std::uint64_t started = start,
                bool io_ends_with_process = true)
      : test_client(server, pid) {
    ask<wire::done>(wire::goodbye{});
    session = {};
    greeting.boot = space;
    greeting.process_start = started;
    greeting.secret.bytes[1] = static_cast<std::byte>(started);
    greeting.io_ends_with_process = io_ends_with_process;
    session = take<wire::welcome>(hello()).session;
  }
};

struct agent : test_client {
  explicit agent(test_server &server) : test_client(server, 99, wire::client_role::tool) {}
  std::vector<std::uint32_t> missing(const unique_id &space) {
    std::vector<std::uint32_t> out;
    for (const auto &each : ask<wire::process_list>(wire::processes{space}).entries) {
      CHECK(each.process_start == start);
      out.push_back(each.pid);
    }
    return out;
  }
  void says_ended(const unique_id &space, std::uint32_t pid, std::uint64_t started = start) {
    ask<wire::done>(wire::processes_ended{space, {{pid, started}}});
  }
};

std::size_t sessions_of(test_server &server) { return server.core->status(server.now).sessions.size(); }

}  // namespace

TEST_CASE("process words: an agent is asked about its own processes that are not heard of, and no others") {
  test_server server;
  placed_client connected(server, 1, space_of(1)), lost(server, 2, space_of(1)),
      elsewhere(server, 3, space_of(2));
  placed_client remote(server, 4, space_of(1), start, false), unseen(server, 5, unique_id{});
  for (placed_client *each : {&lost, &elsewhere, &remote, &unseen}) each->lose_connection();
  agent a(server);
  CHECK(a.missing(space_of(1)) == std::vector<std::uint32_t>{2});
  CHECK(a.missing(space_of(2)) == std::vector<std::uint32_t>{3});
  CHECK(a.missing(space_of(3)).empty());
  CHECK(a.missing(unique_id{}).empty());
  SECTION("one that renews no more, though its connection stands") {
    server.advance(test_lease_over_ms);
    CHECK(a.missing(space_of(1)) == std::vector<std::uint32_t>{1, 2});
  }
  SECTION("after a takeover all that are not back") {
    server.restart();
    connected.take<wire::welcome>(connected.hello());
    CHECK(agent(server).missing(space_of(1)) == std::vector<std::uint32_t>{2});
  }
}

TEST_CASE("process words: a word ends the session of that very process, and no other") {
  test_server server;
  placed_client first(server, 1, space_of(1));
  first.lose_connection();
  agent a(server);
  a.says_ended(space_of(2), 1);
  a.says_ended(space_of(1), 2);
  a.says_ended(space_of(1), 1, start + 1);
  CHECK(sessions_of(server) == 1);
  // Another process with the pid of the first.
  placed_client second(server, 1, space_of(1), start + 1);
  a.says_ended(space_of(1), 1);
  REQUIRE(sessions_of(server) == 1);
  CHECK_FALSE(second.is_hung_up());
  CHECK(second.ask<wire::renewed>(wire::renew{}).lease_ms == test_lease_ms);
  a.says_ended(space_of(1), 1);  // a word that is repeated
  CHECK(sessions_of(server) == 1);
  server.restart();
  CHECK(sessions_of(server) == 1);  // the end was recorded
  CHECK(first.take<wire::failed>(first.hello()).code == errc::gone);
}

TEST_CASE("process words: where its end proves nothing a word on a process does nothing") {
  test_server server;
  placed_client remote(server, 1, space_of(1), start, false), unseen(server, 2, unique_id{});
  agent a(server);
  a.says_ended(space_of(1), 1);
  a.says_ended(unique_id{}, 2);
  CHECK(sessions_of(server) == 2);
}

TEST_CASE("process words: a session says none") {
  test_server server;
  placed_client asks(server, 1, space_of(1)), tells(server, 2, space_of(1)), other(server, 3, space_of(1));
  asks.send(wire::processes{space_of(1)});
  CHECK(asks.is_hung_up());
  tells.send(wire::processes_ended{space_of(1), {{3, start}}});
  CHECK(tells.is_hung_up());
  CHECK(sessions_of(server) == 3);
}

TEST_CASE("process words: a create goes on without the killed writer, and what it had reserved is free") {
  test_server server;
  placed_client killed(server, 1, space_of(1));
  killed.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  killed.ask<wire::reserved>(wire::reserve{16, knows_all});
  test_client writer(server, 2), tool(server, 3, wire::client_role::tool);
  writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  killed.lose_connection();
  const auto create = tool.send(create_of("a", "s"));
  const auto answers = [&] {
    while (const auto f = writer.pushed<wire::freeze>()) writer.tell(wire::freeze_answer{f->barrier});
  };
  answers();
  CHECK_FALSE(tool.answer(create));
  const auto free_before = server.engine->usage().chunks_free;
  agent a(server);
  a.says_ended(space_of(1), 1);
  answers();
  server.tick();
  CHECK(tool.take<wire::created>(create).number == snapshot_number{1});
  CHECK(server.engine->usage().chunks_free == free_before + 16);
}
