// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

TEST_CASE("session: a welcome leaves only when the session's record is durable") {
  test_server server;
  server.durable_at_once = false;
  test_client client(server, 1);
  REQUIRE_FALSE(client.answer(1));
  server.make_durable();
  const auto w = client.take<wire::welcome>(1);
  CHECK(w.session.value == 1);
  CHECK(w.lease_ms == test_lease_ms);
  CHECK(w.chunk_bytes == test_chunk_bytes);
  REQUIRE(server.watched.size() == 1);
  CHECK(server.watched[0].pid == 1);
}

TEST_CASE("session: a tool gets no session and may only administer") {
  test_server server;
  test_client tool(server, 1, wire::client_role::tool);
  CHECK(tool.session.value == 0);
  CHECK(tool.ask<wire::list_reply>(wire::list{}).volumes.size() == 2);
  tool.send(wire::reserve{1, knows_all});
  CHECK(tool.is_hung_up());
}

TEST_CASE("session: a message before hello, a second hello and a server's message end the connection") {
  test_server server;
  const auto raw = server.connect();
  server.deliver(raw, {1, {}, wire::renew{}});
  CHECK(server.hung_up.contains(raw));
  test_client twice(server, 1);
  twice.send(twice.greeting);
  CHECK(twice.is_hung_up());
  test_client confused(server, 2);
  confused.send(wire::welcome{});
  CHECK(confused.is_hung_up());
  test_client early(server, 3);
  server.durable_at_once = false;
  test_client pipelined(server, 4);
  pipelined.send(wire::renew{});
  CHECK(pipelined.is_hung_up());
}

TEST_CASE("session: a session is taken up again with its secret and its old connection is hung up") {
  test_server server;
  test_client client(server, 1);
  const auto first = client.connection;
  CHECK(client.take<wire::welcome>(client.hello()).session == client.session);
  CHECK(server.hung_up.contains(first));
  test_client thief(server, 2);
  thief.session = client.session;
  thief.greeting.pid = 1;
  thief.hello();
  CHECK(thief.is_hung_up());
  test_client stranger(server, 3);
  stranger.session = session_id{999};
  CHECK(stranger.take<wire::failed>(stranger.hello()).code == errc::gone);
}

static bool a_lost_welcome_leaves_no_second_session(const std::vector<std::string> &planted) {
  test_server server(planted);
  test_client client(server, 1);
  const session_id first = client.session;
  client.lose_connection();
  client.session = session_id{};  // as if the welcome had never come
  const auto again = client.take<wire::welcome>(client.hello());
  test_client other(server, 2);
  return again.session == first && other.session != first;
}
TEST_CASE("session: a hello whose welcome was lost is answered with the same session") {
  CHECK(a_lost_welcome_leaves_no_second_session({}));
  CHECK_FALSE(a_lost_welcome_leaves_no_second_session({"welcome_never_lost"}));
}

TEST_CASE("session: a welcome that is given again still waits for the session's record") {
  test_server server;
  server.durable_at_once = false;
  test_client client(server, 1);
  client.lose_connection();
  const auto again = client.hello();
  REQUIRE_FALSE(client.answer(again));
  server.make_durable();
  CHECK(client.take<wire::welcome>(again).session.value == 1);
}

static bool an_expired_session_is_gone_until_hello(const std::vector<std::string> &planted) {
  test_server server(planted);
  test_client client(server, 1);
  server.advance(test_lease_over_ms - 1);
  client.ask<wire::renewed>(wire::renew{});
  server.advance(test_lease_over_ms);
  const auto got = client.answer(client.send(wire::renew{}));
  const auto *failure = std::get_if<wire::failed>(&*got);
  if (!failure || failure->code != errc::gone) return false;
  client.take<wire::welcome>(client.hello());
  client.ask<wire::renewed>(wire::renew{});
  return true;
}
TEST_CASE("session: an expired session is not renewed before it says hello") {
  CHECK(an_expired_session_is_gone_until_hello({}));
  CHECK_FALSE(an_expired_session_is_gone_until_hello({"renew_expired"}));
}

TEST_CASE("session: an expired session keeps its reservations, a dead one loses them") {
  test_server server;
  test_client client(server, 1);
  client.ask<wire::reserved>(wire::reserve{100, knows_all});
  server.advance(test_lease_over_ms);
  CHECK(server.engine->usage().chunks_reserved == 100);
  CHECK(server.conditions().size() == 1);
  CHECK(server.conditions()[0].find("node1 (pid 1) has expired and holds 100 chunks") != std::string::npos);
  server.died(client.session);
  CHECK(server.engine->usage().chunks_reserved == 0);
  CHECK(server.conditions().empty());
  CHECK(server.engine->sessions().empty());
  CHECK(client.is_hung_up());
}

TEST_CASE("session: goodbye frees the reservations and is answered when that is durable") {
  test_server server;
  test_client client(server, 1);
  client.ask<wire::reserved>(wire::reserve{100, knows_all});
  server.durable_at_once = false;
  const auto request = client.send(wire::goodbye{});
  CHECK_FALSE(client.answer(request));
  server.make_durable();
  client.take<wire::done>(request);
  CHECK(client.is_hung_up());
  CHECK(server.engine->sessions().empty());
  CHECK(server.engine->usage().chunks_reserved == 0);
}

TEST_CASE("session: a peer that has seen a higher term stops the server") {
  test_server server;
  test_client client(server, 1);
  server.deliver(client.connection, {9, {server.engine->term().counter + 1, 0}, wire::renew{}});
  REQUIRE(server.stopped.size() == 1);
  CHECK(server.stopped[0].code == errc::stale);
}

TEST_CASE("session: answers carry the term, and more than 64 open requests end the connection") {
  test_server server;
  test_client client(server, 1);
  const auto request = client.send(wire::renew{});
  CHECK(server.inbox[client.connection].back().term == server.engine->term());
  client.take<wire::renewed>(request);
  server.durable_at_once = false;
  for (std::size_t i = 0; i < wire::requests_outstanding_max; ++i) client.send(wire::reserve{1, knows_all});
  CHECK_FALSE(client.is_hung_up());
  client.send(wire::reserve{1, knows_all});
  CHECK(client.is_hung_up());
}

TEST_CASE("session: a request without an id, or with one in use, ends the connection") {
  test_server server;
  test_client a(server, 1), b(server, 2);
  a.tell(wire::renew{});
  CHECK(a.is_hung_up());
  server.durable_at_once = false;
  server.deliver(b.connection, {50, {}, wire::reserve{1, knows_all}});
  server.deliver(b.connection, {50, {}, wire::reserve{1, knows_all}});
  CHECK(b.is_hung_up());
}

TEST_CASE("session: the longest lease is in the store before a lease is granted") {
  test_server server;
  CHECK(server.engine->current_settings().longest_lease_ms == test_lease_over_ms);
  test_client client(server, 1);
  server.restart();
  CHECK(server.engine->current_settings().longest_lease_ms == test_lease_over_ms);
}

TEST_CASE("grace: ends when all recorded sessions are back, and nothing is unshared before") {
  test_server server;
  test_client a(server, 1), b(server, 2);
  const auto volume = a.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  CHECK_FALSE(volume.has_snapshots);
  server.restart();
  CHECK(server.core->status(server.now).in_grace);
  CHECK(a.take<wire::welcome>(a.hello()).session == a.session);
  CHECK(a.ask<wire::volume_opened>(wire::open_volume{"", volume.id}).has_snapshots);
  const auto query = a.send(wire::unshared_query{volume.id, volume.epoch, chunk_no{0}, 8});
  CHECK_FALSE(a.answer(query));
  b.hello();
  CHECK_FALSE(server.core->status(server.now).in_grace);
  CHECK(a.take<wire::unshared_map>(query).bits == std::string(1, '\xff'));
}

TEST_CASE("grace: ends after the longest lease; who did not come back has expired but is not dead") {
  test_server server;
  test_client a(server, 1);
  server.restart();
  server.advance(test_lease_over_ms - 1);
  CHECK(server.core->status(server.now).in_grace);
  server.advance(1);
  const auto status = server.core->status(server.now);
  CHECK_FALSE(status.in_grace);
  REQUIRE(status.sessions.size() == 1);
  CHECK(status.sessions[0].expired);
}

TEST_CASE("grace: a session's proven death ends the wait for it") {
  test_server server;
  test_client a(server, 1);
  server.restart();
  REQUIRE(server.watched.size() == 2);
  CHECK(server.watched[1].session == a.session);
  server.died(a.session);
  CHECK_FALSE(server.core->status(server.now).in_grace);
}

TEST_CASE("session: so many may be open, and no more until one has ended") {
  test_server server;
  std::vector<test_client> all;
  for (std::uint32_t pid = 1; pid <= 256; ++pid) all.emplace_back(server, pid);
  CHECK_THROWS_WITH(test_client(server, 257), Catch::Contains("too many sessions"));
  all.front().ask<wire::done>(wire::goodbye{});
  test_client next(server, 258);
  CHECK(next.session.value != 0);
}

TEST_CASE("session: a lease that became longer is recorded with the session before it is granted") {
  test_server server;
  test_client client(server, 1);
  store::settings longer = server.engine->current_settings();
  longer.lease_ms = 2 * test_lease_ms;
  REQUIRE(server.engine->append(store::settings_changed{longer}));
  client.lose_connection();
  server.durable_at_once = false;
  const auto hello = client.hello();
  CHECK_FALSE(client.answer(hello));
  server.make_durable();
  CHECK(client.take<wire::welcome>(hello).lease_ms == 2 * test_lease_ms);
  CHECK(server.engine->sessions().at(client.session).lease_ms == 2 * test_lease_ms);
}
