// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

struct scene {
  explicit scene(std::vector<std::string> planted = {})
      : server(std::move(planted)), w1(server, 1), w2(server, 2), tool(server, 4, wire::client_role::tool) {
    v1 = w1.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    v2 = w2.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  }
  test_server server;
  test_client w1, w2, tool;
  wire::volume_opened v1, v2;
};

barrier_id frozen(test_client &client) {
  const auto f = client.pushed<wire::freeze>();
  return f ? f->barrier : barrier_id{};
}

bool who_opens_during_a_barrier_is_part_of_it(const std::vector<std::string> &planted) {
  scene s(planted);
  const auto create = s.tool.send(create_of("a", "s"));
  test_client late(s.server, 3);
  const auto opened = late.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{frozen(*w)});
  if (opened.barrier.value == 0 || s.tool.answer(create)) return false;
  late.tell(wire::freeze_answer{opened.barrier});
  return s.tool.answer(create).has_value() && late.pushed<wire::thaw>()->volumes[0].epoch.number.value == 1;
}

bool an_answer_to_an_aborted_barrier_does_not_count(const std::vector<std::string> &planted) {
  scene s(planted);
  const auto first = s.tool.send(create_of("a", "s"));
  const auto old = frozen(s.w1);
  s.server.advance(test_lease_ms);
  if (s.tool.take<wire::failed>(first).code != errc::timed_out) return false;
  const auto second = s.tool.send(create_of("a", "s"));
  s.w2.tell(wire::freeze_answer{[&] {
    frozen(s.w2);
    return frozen(s.w2);
  }()});
  s.w1.tell(wire::freeze_answer{old});
  if (s.tool.answer(second)) return false;
  s.w1.tell(wire::freeze_answer{frozen(s.w1)});
  return s.tool.answer(second).has_value();
}

}  // namespace

TEST_CASE("create: with no writer it is immediate, and durable before it is answered") {
  test_server server;
  test_client tool(server, 4, wire::client_role::tool);
  server.durable_at_once = false;
  const auto request = tool.send(create_of("a", "s"));
  CHECK_FALSE(tool.answer(request));
  server.make_durable();
  CHECK(tool.take<wire::created>(request).number.value == 1);
}

TEST_CASE("create: waits until every writer has answered the freeze, then all go on in the next epoch") {
  scene s;
  const auto request = s.tool.send(create_of("a", "s"));
  const auto f1 = s.w1.pushed<wire::freeze>();
  REQUIRE(f1);
  CHECK(f1->volumes == std::vector<volume_id>{s.v1.id});
  s.w1.tell(wire::freeze_answer{f1->barrier});
  CHECK_FALSE(s.tool.answer(request));
  s.server.durable_at_once = false;
  s.w2.tell(wire::freeze_answer{frozen(s.w2)});
  CHECK_FALSE(s.w1.pushed<wire::thaw>());
  CHECK(s.server.engine->volumes().at(s.v1.id).epoch.number.value == 1);  // moves when the record is queued
  s.server.make_durable();
  CHECK(s.tool.take<wire::created>(request).number.value == 1);
  const auto t = s.w1.pushed<wire::thaw>();
  REQUIRE(t);
  CHECK(t->barrier == f1->barrier);
  CHECK(t->volumes[0].epoch == s.server.engine->volumes().at(s.v1.id).epoch);
  CHECK(t->volumes[0].has_snapshots);
  CHECK(s.w2.pushed<wire::thaw>());
}

TEST_CASE("create: a group freezes the writers of all its volumes and is one snapshot number") {
  scene s;
  test_client wb(s.server, 3);
  const auto b = wb.ask<wire::volume_opened>(wire::open_volume{"b", {}});
  auto group = create_of("a", "s");
  group.members.push_back({"b", "s"});
  const auto request = s.tool.send(group);
  for (auto *w : {&s.w1, &s.w2, &wb}) w->tell(wire::freeze_answer{frozen(*w)});
  const auto made = s.tool.take<wire::created>(request);
  CHECK(s.server.engine->find_snapshot(s.v1.id, "s")->number == made.number);
  CHECK(s.server.engine->find_snapshot(b.id, "s")->number == made.number);
}

TEST_CASE("create: who opens the volume during a barrier is part of it") {
  CHECK(who_opens_during_a_barrier_is_part_of_it({}));
  CHECK_FALSE(who_opens_during_a_barrier_is_part_of_it({"join_in_barrier"}));
}

TEST_CASE("create: an answer to an aborted barrier does not count") {
  CHECK(an_answer_to_an_aborted_barrier_does_not_count({}));
  CHECK_FALSE(an_answer_to_an_aborted_barrier_does_not_count({"old_ack"}));
}

TEST_CASE("create: a silent writer makes it fail, by name, and the others go on in the old epoch") {
  scene s;
  const auto request = s.tool.send(create_of("a", "s"));
  s.w1.tell(wire::freeze_answer{frozen(s.w1)});
  s.server.advance(4999);
  CHECK_FALSE(s.tool.answer(request));
  s.server.advance(1);
  const auto failure = s.tool.take<wire::failed>(request);
  CHECK(failure.code == errc::timed_out);
  CHECK(failure.text == "session node2 (pid 2) did not answer the barrier");
  CHECK(s.w1.pushed<wire::thaw>()->volumes[0].epoch.number.value == 0);
  CHECK_FALSE(s.server.engine->find_snapshot(s.v1.id, "s"));
}

TEST_CASE("create: one barrier per volume at a time, others beside it") {
  scene s;
  s.tool.send(create_of("a", "s"));
  CHECK(s.tool.ask<wire::failed>(create_of("a", "t")).code == errc::busy);
  CHECK(s.tool.ask<wire::created>(create_of("b", "t")).number.value == 1);
}

TEST_CASE("create: a frozen client that lost its connection is asked again and told the barrier") {
  scene s;
  const auto request = s.tool.send(create_of("a", "s"));
  const auto id = frozen(s.w1);
  s.w2.tell(wire::freeze_answer{frozen(s.w2)});
  s.w2.lose_connection();
  s.w2.hello();
  CHECK(frozen(s.w2) == id);
  CHECK(s.w2.ask<wire::volume_opened>(wire::open_volume{"", s.v2.id}).barrier == id);
  s.w1.tell(wire::freeze_answer{id});
  CHECK_FALSE(s.tool.answer(request));  // what it answered before its hello does not count
  s.w2.tell(wire::freeze_answer{id});
  CHECK(s.tool.answer(request));
}

TEST_CASE("create: a participant that disconnects stays part until it is proven dead") {
  scene s;
  const auto request = s.tool.send(create_of("a", "s"));
  s.w1.tell(wire::freeze_answer{frozen(s.w1)});
  s.w2.lose_connection();
  CHECK_FALSE(s.tool.answer(request));
  s.server.died(s.w2.session);
  CHECK_FALSE(s.tool.answer(request));  // what it completed after the flush of the other is not durable
  s.w1.tell(wire::freeze_answer{frozen(s.w1)});
  CHECK(s.tool.take<wire::created>(request).number.value == 1);
}

static bool what_a_killed_writer_completed_is_flushed(const std::vector<std::string> &planted) {
  scene s(planted);
  s.w2.ask<wire::done>(wire::close_volume{s.v2.id});
  s.server.died(s.w1.session);
  const auto request = s.tool.send(create_of("a", "s"));
  const auto asked = s.w2.pushed<wire::freeze>();  // it does not write the volume, but it can flush it
  if (!asked || s.tool.answer(request)) return false;
  s.w2.tell(wire::freeze_answer{asked->barrier});
  if (!s.tool.answer(request)) return false;
  return s.tool.answer(s.tool.send(create_of("a", "t"))).has_value();  // once is enough
}
TEST_CASE("create: what a killed writer completed another session flushes") {
  CHECK(what_a_killed_writer_completed_is_flushed({}));
  CHECK_FALSE(what_a_killed_writer_completed_is_flushed({"dead_not_flushed"}));
}

TEST_CASE("create: when nobody can flush for a killed writer it waits for one, and says so") {
  scene s;
  s.w2.ask<wire::done>(wire::goodbye{});
  s.server.died(s.w1.session);
  const auto request = s.tool.send(create_of("a", "s"));
  CHECK_FALSE(s.tool.answer(request));
  s.server.advance(5000);
  CHECK(s.tool.take<wire::failed>(request).text.find("start one") != std::string::npos);
  const auto again = s.tool.send(create_of("a", "s"));
  test_client flusher(s.server, 9);
  s.server.advance(5000);  // who does not answer is named, whatever its part
  CHECK(s.tool.take<wire::failed>(again).text == "session node9 (pid 9) did not answer the barrier");
  CHECK(frozen(flusher).value > 0);
  flusher.take<wire::welcome>(flusher.hello());
  const auto third = s.tool.send(create_of("a", "s"));
  flusher.tell(wire::freeze_answer{frozen(flusher)});
  CHECK(s.tool.answer(third));
}

TEST_CASE("create: goodbye and close_volume leave the barrier") {
  scene s;
  const auto request = s.tool.send(create_of("a", "s"));
  s.w1.ask<wire::done>(wire::close_volume{s.v1.id});
  CHECK_FALSE(s.tool.answer(request));
  s.w2.ask<wire::done>(wire::goodbye{});
  CHECK(s.tool.answer(request));
}

TEST_CASE("create: an expired writer is waited for without stopping the others, and named at the deadline") {
  scene s;
  s.server.advance(test_lease_over_ms - 1);
  s.w1.ask<wire::renewed>(wire::renew{});
  s.server.advance(1);
  const auto request = s.tool.send(create_of("a", "s"));
  CHECK_FALSE(s.w1.pushed<wire::freeze>());
  CHECK(s.server.conditions().size() == 2);
  s.server.advance(5000);
  CHECK(s.tool.take<wire::failed>(request).text == "session node2 (pid 2) did not answer the barrier");
  const auto again = s.tool.send(create_of("a", "s"));
  s.w2.take<wire::welcome>(s.w2.hello());
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{frozen(*w)});
  CHECK(s.tool.answer(again));
}

TEST_CASE("create: repeated with the same request it has one effect") {
  scene s;
  const auto what = create_of("a", "s");
  const auto lost = s.tool.send(what);
  const auto again = s.tool.send(what);
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{frozen(*w)});
  CHECK_FALSE(s.tool.answer(lost));
  CHECK(s.tool.take<wire::created>(again).number.value == 1);
  CHECK(s.tool.ask<wire::created>(what).number.value == 1);
  s.server.restart();
  test_client tool(s.server, 5, wire::client_role::tool);
  CHECK(tool.ask<wire::created>(what).number.value == 1);
  // What it made is gone: it is not made again.
  tool.ask<wire::done>(remove_of("a", "s"));
  CHECK(tool.ask<wire::failed>(what).code == errc::not_found);
}

TEST_CASE("create: after a takeover every recorded session may be a writer of any volume") {
  scene s;
  s.server.restart();
  test_client tool(s.server, 5, wire::client_role::tool);
  const auto request = tool.send(create_of("b", "s"));
  s.w1.hello();
  s.w2.hello();
  CHECK_FALSE(tool.answer(request));
  s.w1.tell(wire::freeze_answer{frozen(s.w1)});
  CHECK_FALSE(tool.answer(request));
  s.w2.tell(wire::freeze_answer{frozen(s.w2)});
  CHECK(tool.answer(request));
  const auto never = tool.send(create_of("b", "t"));
  s.server.died(s.w1.session);
  for (barrier_id id = frozen(s.w2); id != barrier_id{}; id = frozen(s.w2))
    s.w2.tell(wire::freeze_answer{id});
  CHECK(tool.answer(never));
}

TEST_CASE("create: in grace nobody is stopped, and the deadline names who did not come back") {
  scene s;
  s.server.restart();
  test_client tool(s.server, 5, wire::client_role::tool);
  s.w1.hello();
  const auto request = tool.send(create_of("a", "s"));
  CHECK_FALSE(s.w1.pushed<wire::freeze>());
  s.server.advance(5000);
  CHECK(tool.take<wire::failed>(request).text == "session node2 (pid 2) did not answer the barrier");
}

TEST_CASE("create: bad names, unknown volumes and taken names are refused") {
  test_server server;
  test_client tool(server, 4, wire::client_role::tool);
  CHECK(tool.ask<wire::failed>(create_of("a", "no/slash")).code == errc::invalid);
  CHECK(tool.ask<wire::failed>(create_of("z", "s")).code == errc::not_found);
  CHECK(tool.ask<wire::failed>(wire::create{request_id(), 0, {}}).code == errc::invalid);
  tool.ask<wire::created>(create_of("a", "s"));
  CHECK(tool.ask<wire::failed>(create_of("a", "s")).code == errc::exists);
  auto twice = create_of("a", "t");
  twice.members.push_back({"a", "u"});
  CHECK(tool.ask<wire::failed>(twice).code == errc::invalid);
}

TEST_CASE("create: a name that a rename took during the barrier is refused, and all go on") {
  scene s;
  auto first = s.tool.send(create_of("a", "s"));
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{frozen(*w)});
  s.tool.take<wire::created>(first);
  for (auto *w : {&s.w1, &s.w2}) w->pushed<wire::thaw>();
  const auto second = s.tool.send(create_of("a", "t"));
  s.tool.ask<wire::done>(wire::rename{request_id(), {"a", "s"}, "t"});
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{frozen(*w)});
  CHECK(s.tool.take<wire::failed>(second).code == errc::exists);
  CHECK(s.w1.pushed<wire::thaw>()->volumes[0].epoch.number.value == 1);
}
