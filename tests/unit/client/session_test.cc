// SPDX-License-Identifier: BSD-3-Clause
#include "scripted_server.h"

using namespace csnap;
using namespace csnap::client;

namespace {

// Hello sent, answered 4.9 s later: 100 ms of the lease are left, not 5 s.
bool lease_counts_from_sending(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.machine.connected(r.now);
  r.now.value += 4900;
  (void)r.answer_with<wire::hello>(r.welcome());
  const bool before = r.machine.lease_valid(r.now);
  r.now.value += 101;
  return before && !r.machine.lease_valid(r.now);
}

bool no_write_without_lease(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.write(1) == admission::admitted);
  r.now.value += test_lease_ms;
  return r.write(1) == admission::wait;
}

}  // namespace

TEST_CASE("session: a lease is counted from when the hello was sent") {
  REQUIRE(lease_counts_from_sending({}));
  REQUIRE_FALSE(lease_counts_from_sending({"lease_from_answer"}));
}

TEST_CASE("session: no write is admitted when the lease is out") {
  REQUIRE(no_write_without_lease({}));
  REQUIRE_FALSE(no_write_without_lease({"no_lease_check"}));
}

TEST_CASE("session: the lease is renewed at a third of it") {
  rig r;
  r.connect();
  r.now.value += test_lease_ms / 3 - 1;
  r.machine.tick(r.now);
  REQUIRE(r.is_quiet());
  r.now.value = r.machine.next_tick(r.now).value;
  r.machine.tick(r.now);
  (void)r.answer_with<wire::renew>(wire::renewed{test_lease_ms});
  r.now.value += test_lease_ms - 1;
  REQUIRE(r.machine.lease_valid(r.now));
}

TEST_CASE("session: a peer that does not answer a renewal is given up") {
  rig r;
  r.connect();
  r.now.value += 2000;
  r.machine.tick(r.now);
  REQUIRE_FALSE(r.machine.peer_is_silent(r.now));
  r.now = r.machine.next_tick(r.now);
  REQUIRE(r.machine.peer_is_silent(r.now));
}

TEST_CASE("session: an expired session is resumed with its number on a new connection") {
  rig r;
  r.connect();
  r.now.value += 2000;
  r.machine.tick(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::renew>(&id);
  const auto outcome = r.reply(id, wire::failed{errc::gone, "expired", {}});
  REQUIRE(outcome.error().code == errc::gone);
  REQUIRE_FALSE(r.machine.lease_valid(r.now));
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  const auto h = r.answer_with<wire::hello>(r.welcome());
  REQUIRE(h.resume == session_id{9});
  REQUIRE(r.machine.lease_valid(r.now));
}

TEST_CASE("session: an unknown session is replaced; commits fail, volumes are opened by name") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  wire::commit c{vol, epoch(1), {{chunk_no{1}, reservation_id{}, store_chunk::zero()}}};
  const ticket t = r.machine.commit(c);
  (void)r.take<wire::commit>();
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::hello>(&id);
  REQUIRE(r.reply(id, wire::failed{errc::gone, "unknown", {}}).error().code == errc::gone);
  REQUIRE(std::get<wire::failed>(*r.machine.take_answer(t)).code == errc::gone);
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  const auto h = r.answer_with<wire::hello>(r.welcome(10));
  REQUIRE(h.resume == session_id{});
  REQUIRE(r.write(1) == admission::wait);  // nothing that was known holds
  const auto o = r.answer_with<wire::open_volume>(rig::volume(epoch(1), true));
  REQUIRE(o.name == "v");
  r.learn(1, true);
  REQUIRE(r.write(1) == admission::admitted);
}

TEST_CASE("session: a standby's hint is passed on") {
  rig r;
  r.machine.connected(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::hello>(&id);
  r.term = {};
  REQUIRE(r.reply(id, wire::failed{errc::not_master, "no", "unix:/b"}).error().code == errc::not_master);
  REQUIRE(r.hint == "unix:/b");
}

TEST_CASE("session: an older term is not believed, neither its frames nor its welcome") {
  rig r;
  r.term = {7, 1};
  r.connect();
  r.open(epoch(1), false);
  r.term = {6, 2};
  REQUIRE(r.say(wire::freeze{barrier_id{1}, {vol}}));
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::hello>(&id);
  REQUIRE(r.reply(id, r.welcome()).error().code == errc::stale);
  // Nor may it end the session.
  REQUIRE(r.reply(id, wire::failed{errc::gone, "unknown", {}}).error().code == errc::stale);
  r.term = {8, 2};
  REQUIRE(r.reply(id, r.welcome()));
  REQUIRE(r.machine.lease_valid(r.now));
}

TEST_CASE("session: unanswered requests are sent again, in order, after what is open") {
  rig r;
  r.connect();
  r.open();
  r.open_snap();
  (void)r.machine.request(wire::list{"a", {}, {}});
  (void)r.machine.request(wire::list{"b", {}, {}});
  (void)r.take<wire::list>();
  r.machine.disconnected(r.now);
  REQUIRE(r.is_quiet() == false);
  r.sent.clear();
  REQUIRE(r.is_quiet());
  r.machine.connected(r.now);
  std::uint64_t id = 0, last = 0;
  (void)r.take<wire::hello>(&last);
  REQUIRE(r.is_quiet());  // nothing before the welcome
  REQUIRE(r.reply(last, r.welcome()));
  REQUIRE(r.take<wire::open_volume>(&id).id == vol);
  REQUIRE(id > last);
  REQUIRE(r.take<wire::open_snapshot>().number == snap);
  REQUIRE(r.take<wire::list>().volume == "a");
  REQUIRE(r.take<wire::list>(&last).volume == "b");
  REQUIRE(last > id);
}

TEST_CASE("session: no more requests are under way than the server takes") {
  rig r;
  r.connect();
  for (int i = 0; i < 200; ++i) (void)r.machine.request(wire::status{});
  r.pull();
  REQUIRE(r.sent.size() < wire::requests_outstanding_max);
  const std::size_t before = r.sent.size();
  REQUIRE(r.reply(r.sent.front().request, wire::report{"{}"}));
  r.pull();
  REQUIRE(r.sent.size() == before + 1);
}

TEST_CASE("session: goodbye ends it") {
  rig r;
  r.connect();
  const ticket t = r.machine.goodbye();
  (void)r.answer_with<wire::goodbye>(wire::done{});
  REQUIRE(r.machine.take_answer(t));
  REQUIRE_FALSE(r.machine.has_session());
  REQUIRE_FALSE(r.machine.lease_valid(r.now));
  REQUIRE(r.machine.next_tick(r.now) > r.now);
}

TEST_CASE("session: an answer to nothing and an impossible welcome are errors") {
  rig r;
  r.connect();
  REQUIRE(r.reply(4711, wire::done{}).error().code == errc::invalid);
  REQUIRE(r.say(wire::done{}).error().code == errc::invalid);
  rig other;
  other.machine.connected(other.now);
  std::uint64_t id = 0;
  (void)other.take<wire::hello>(&id);
  auto w = other.welcome();
  w.chunk_bytes = 3;
  REQUIRE(other.reply(id, w).error().code == errc::invalid);
}
