// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;
using wire::copy_fate;

namespace {

// Two writers and a reader of snapshot a@s, which is the only one.
struct scene {
  explicit scene(std::vector<std::string> planted = {})
      : server(std::move(planted)),
        w1(server, 1),
        w2(server, 2),
        reader(server, 3),
        tool(server, 4, wire::client_role::tool) {
    snapshot = tool.ask<wire::created>(create_of("a", "s")).number;
    v1 = w1.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    v2 = w2.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    r1 = w1.ask<wire::reserved>(wire::reserve{16, knows_all});
    r2 = w2.ask<wire::reserved>(wire::reserve{16, knows_all});
    reader.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "s", {}, {}});
  }
  wire::map_reply map() { return reader.ask<wire::map_reply>(wire::map{v1.id, snapshot, chunk_no{0}}); }
  test_server server;
  test_client w1, w2, reader, tool;
  snapshot_number snapshot;
  wire::volume_opened v1, v2;
  wire::reserved r1, r2;
};

bool answered_with(test_client &client, std::uint64_t request, copy_fate fate, bool unshared) {
  const auto got = client.answer(request);
  if (!got) return false;
  const auto *body = std::get_if<wire::committed>(&*got);
  return body && body->outcomes.size() == 1 && body->outcomes[0].fate == fate &&
         body->outcomes[0].unshared == unshared;
}

bool a_commit_waits_for_its_record(const std::vector<std::string> &planted) {
  scene s(planted);
  s.server.durable_at_once = false;
  const auto request = s.w1.send(commit_of(s.v1, s.r1, 5));
  if (s.w1.answer(request)) return false;
  s.server.make_durable();
  return answered_with(s.w1, request, copy_fate::used, true);
}

bool a_loser_waits_for_the_winner(const std::vector<std::string> &planted) {
  scene s(planted);
  s.server.durable_at_once = false;
  const auto first = s.w1.send(commit_of(s.v1, s.r1, 5));
  const auto second = s.w2.send(commit_of(s.v2, s.r2, 5));
  if (s.w2.answer(second)) return false;
  s.server.make_durable();
  return answered_with(s.w1, first, copy_fate::used, true) &&
         answered_with(s.w2, second, copy_fate::back, true);
}

bool a_commit_waits_for_its_recall(const std::vector<std::string> &planted) {
  scene s(planted);
  s.map();
  const auto request = s.w1.send(commit_of(s.v1, s.r1, 5));
  const auto recall = s.reader.pushed<wire::recall>();
  if (!recall || recall->entries.size() != 1 || recall->entries[0].chunk.value != 5) return false;
  if (s.w1.answer(request)) return false;
  s.reader.tell(wire::recall_answer{recall->id});
  return answered_with(s.w1, request, copy_fate::used, true);
}

bool a_map_that_came_before_durability_is_recalled(const std::vector<std::string> &planted) {
  scene s(planted);
  s.server.durable_at_once = false;
  s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{256}});  // the other segment: nothing pending in it
  s.w1.send(commit_of(s.v1, s.r1, 5));
  const auto map = s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{0}});
  // Not the origin's place any more, and not the store's before it is durable.
  const auto early = s.reader.answer(map);
  if (early) return false;
  s.server.make_durable();
  const auto runs = s.reader.take<wire::map_reply>(map).runs;
  return runs.size() == 3 && runs[0].count == 5 && runs[1].kind == wire::place_kind::store &&
         runs[1].first == s.r1.first;
}

// The delegation is given between the append and the durable record, of the segment of a chunk whose own map
// request had to wait; the recall must reach it.
bool holders_are_computed_when_durable(const std::vector<std::string> &planted) {
  auto with = planted;
  with.push_back("place_before_durable");
  scene s(with);
  s.server.durable_at_once = false;
  const auto request = s.w1.send(commit_of(s.v1, s.r1, 5));
  s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{0}});
  s.server.make_durable();
  return !s.w1.answer(request) && s.reader.pushed<wire::recall>().has_value();
}

bool a_repeated_commit_is_used_again(const std::vector<std::string> &planted) {
  scene s(planted);
  s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 5));
  s.w1.lose_connection();
  s.w1.take<wire::welcome>(s.w1.hello());
  if (!answered_with(s.w1, s.w1.send(commit_of(s.v1, s.r1, 5)), copy_fate::used, true)) return false;
  // Also when the epoch has moved on meanwhile, and another exception came after it.
  const auto create = s.tool.send(create_of("a", "t"));
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{w->pushed<wire::freeze>()->barrier});
  s.tool.take<wire::created>(create);
  auto next = s.v2;
  next.epoch = s.w2.pushed<wire::thaw>()->volumes[0].epoch;
  s.w2.ask<wire::committed>(commit_of(next, s.r2, 5));
  const auto late = s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 5));
  return late.stale_epoch && late.outcomes[0].fate == copy_fate::used && !late.outcomes[0].unshared;
}

bool only_the_own_reservation_counts(const std::vector<std::string> &planted) {
  scene s(planted);
  const auto got = s.w2.ask<wire::committed>(commit_of(s.v2, s.r1, 5));
  return got.outcomes[0].fate == copy_fate::taken && !got.outcomes[0].unshared;
}

bool a_copy_of_an_older_epoch_is_handed_back(const std::vector<std::string> &planted) {
  scene s(planted);
  const auto create = s.tool.send(create_of("a", "t"));
  for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{w->pushed<wire::freeze>()->barrier});
  s.tool.take<wire::created>(create);
  const auto got = s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 5));
  return got.stale_epoch && got.outcomes[0].fate == copy_fate::back && !got.outcomes[0].unshared;
}

}  // namespace

TEST_CASE("commit: is answered when its record is durable") {
  CHECK(a_commit_waits_for_its_record({}));
  CHECK_FALSE(a_commit_waits_for_its_record({"answer_before_durable"}));
}
TEST_CASE("commit: the loser of a race is answered no sooner than the winner's copy is safe") {
  CHECK(a_loser_waits_for_the_winner({}));
  CHECK_FALSE(a_loser_waits_for_the_winner({"loser_at_once"}));
}
TEST_CASE("commit: is answered when every holder of the delegation has answered the recall") {
  CHECK(a_commit_waits_for_its_recall({}));
  CHECK_FALSE(a_commit_waits_for_its_recall({"no_recall_wait"}));
}
TEST_CASE("map: waits while a chunk of the segment has a record that is not durable") {
  CHECK(a_map_that_came_before_durability_is_recalled({}));
  CHECK_FALSE(a_map_that_came_before_durability_is_recalled({"place_before_durable"}));
}
TEST_CASE("commit: the holders are those when the record is durable") {
  CHECK(holders_are_computed_when_durable({}));
  CHECK_FALSE(holders_are_computed_when_durable({"holders_early"}));
}
TEST_CASE("commit: sent again it is recognized, whatever the epoch") {
  CHECK(a_repeated_commit_is_used_again({}));
  CHECK_FALSE(a_repeated_commit_is_used_again({"not_idempotent"}));
}
TEST_CASE("commit: a chunk that is reserved for another session is refused") {
  CHECK(only_the_own_reservation_counts({}));
  CHECK_FALSE(only_the_own_reservation_counts({"offer_unchecked"}));
}
TEST_CASE("commit: a copy that was begun in an older epoch is handed back") {
  CHECK(a_copy_of_an_older_epoch_is_handed_back({}));
  CHECK_FALSE(a_copy_of_an_older_epoch_is_handed_back({"old_epoch_ok"}));
}

TEST_CASE("commit: a late repetition of a chunk that was reaped since is taken") {
  scene s;
  s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 5));
  s.tool.ask<wire::done>(remove_of("a", "s"));
  s.reader.tell(wire::snapshot_gone_answer{s.v1.id, s.snapshot});
  s.server.tick();
  CHECK(s.server.engine->exceptions_of(s.v1.id) == 0);
  CHECK(s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 5)).outcomes[0].fate == copy_fate::taken);
}

TEST_CASE("commit: an all-zero chunk needs no reservation") {
  scene s;
  const auto got =
      s.w1.ask<wire::committed>(wire::commit{s.v1.id, s.v1.epoch, {{chunk_no{5}, {}, store_chunk::zero()}}});
  CHECK(got.outcomes[0].fate == copy_fate::used);
  CHECK(got.outcomes[0].unshared);
  CHECK(s.map().runs[1].kind == wire::place_kind::zero);
}

TEST_CASE("commit: what breaks the protocol ends the connection") {
  const auto is_hung_up_by = [](std::vector<wire::commit_entry> entries) {
    scene s;
    for (auto &e : entries) e.reservation = s.r1.id, e.place.value += s.r1.first.value;
    s.w1.send(wire::commit{s.v1.id, s.v1.epoch, entries});
    return s.w1.is_hung_up();
  };
  CHECK(is_hung_up_by({{chunk_no{test_volume_chunks}, {}, store_chunk{0}}}));
  CHECK(is_hung_up_by({{chunk_no{2}, {}, store_chunk{0}}, {chunk_no{1}, {}, store_chunk{1}}}));
  CHECK(is_hung_up_by({{chunk_no{2}, {}, store_chunk{0}}, {chunk_no{2}, {}, store_chunk{1}}}));
  CHECK(is_hung_up_by({{chunk_no{2}, {}, store_chunk{0}}, {chunk_no{3}, {}, store_chunk{0}}}));
  CHECK_FALSE(is_hung_up_by({{chunk_no{2}, {}, store_chunk{0}}, {chunk_no{3}, {}, store_chunk{1}}}));
}

TEST_CASE("commit: needs the volume open for writing") {
  scene s;
  const auto r = s.reader.ask<wire::reserved>(wire::reserve{1, knows_all});
  CHECK(s.reader.ask<wire::failed>(commit_of(s.v1, r, 5)).code == errc::refused);
}

TEST_CASE("recall: a holder's lease end, death, or hello count as its answer") {
  for (const int how : {0, 1, 2}) {
    scene s;
    s.map();
    const auto request = s.w1.send(commit_of(s.v1, s.r1, 5));
    CHECK_FALSE(s.w1.answer(request));
    if (how == 0) {
      s.server.advance(test_lease_over_ms - 1);
      s.w1.send(wire::renew{});
      CHECK_FALSE(s.w1.answer(request));
      s.server.advance(1);
    } else if (how == 1) {
      s.server.died(s.reader.session);
    } else {
      s.reader.lose_connection();
      CHECK_FALSE(s.w1.answer(request));
      s.reader.hello();
    }
    CHECK(answered_with(s.w1, request, copy_fate::used, true));
  }
}

TEST_CASE("recall: a session that answers no recall within a lease is not renewed") {
  scene s;
  s.map();
  const auto request = s.w1.send(commit_of(s.v1, s.r1, 5));
  s.server.advance(test_lease_ms - 1);
  s.reader.ask<wire::renewed>(wire::renew{});
  s.server.advance(1);
  CHECK(s.reader.ask<wire::failed>(wire::renew{}).code == errc::gone);
  s.reader.hello();
  CHECK(answered_with(s.w1, request, copy_fate::used, true));
}

TEST_CASE("recall: a dropped delegation is not recalled, one that was recalled is recalled again") {
  scene s;
  s.map();
  s.w1.send(commit_of(s.v1, s.r1, 5));
  s.reader.tell(wire::recall_answer{s.reader.pushed<wire::recall>()->id});
  s.w1.send(commit_of(s.v1, s.r1, 6, 1));
  const auto again = s.reader.pushed<wire::recall>();
  REQUIRE(again);
  s.reader.tell(wire::recall_answer{again->id});
  s.reader.tell(wire::drop{s.v1.id, chunk_no{0}});
  const auto third = s.w1.send(commit_of(s.v1, s.r1, 7, 2));
  CHECK_FALSE(s.reader.pushed<wire::recall>());
  CHECK(answered_with(s.w1, third, copy_fate::used, true));
}

TEST_CASE("grace: a commit is answered only after it") {
  scene s;
  s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 4));
  s.server.restart();
  s.w1.take<wire::welcome>(s.w1.hello());
  const auto repeated = s.w1.send(commit_of(s.v1, s.r1, 4));
  const auto fresh = s.w1.send(commit_of(s.v1, s.r1, 5, 1));
  CHECK_FALSE(s.w1.answer(repeated));
  CHECK_FALSE(s.w1.answer(fresh));
  s.w2.hello();
  CHECK_FALSE(s.w1.answer(fresh));
  s.reader.hello();
  CHECK(answered_with(s.w1, repeated, copy_fate::used, true));
  CHECK(answered_with(s.w1, fresh, copy_fate::used, true));
}

TEST_CASE("reserve: is answered when durable, and bounded for each session") {
  scene s;
  s.server.durable_at_once = false;
  const auto request = s.w1.send(wire::reserve{10, knows_all});
  CHECK_FALSE(s.w1.answer(request));
  s.server.make_durable();
  CHECK(s.w1.take<wire::reserved>(request).count == 10);
  s.server.durable_at_once = true;
  for (int i = 0; i < 3; ++i) s.w1.ask<wire::reserved>(wire::reserve{1024, knows_all});
  CHECK(s.w1.ask<wire::failed>(wire::reserve{1024, knows_all}).code == errc::refused);
  s.w1.send(wire::reserve{0, knows_all});
  CHECK(s.w1.is_hung_up());
}

TEST_CASE("reserve: what was granted and never heard of is granted again") {
  test_server server;
  test_client client(server, 1);
  const auto lost = client.ask<wire::reserved>(wire::reserve{10, {}});
  client.lose_connection();
  client.hello();
  const auto again = client.ask<wire::reserved>(wire::reserve{99, {}});
  CHECK(again.id == lost.id);
  CHECK(again.count == 10);
  CHECK(client.ask<wire::reserved>(wire::reserve{10, lost.id}).id > lost.id);
  CHECK(server.engine->usage().chunks_reserved == 20);
}

TEST_CASE("reserve: a second request beside the first is not granted the same chunks") {
  test_server server;
  test_client client(server, 1);
  server.durable_at_once = false;
  const auto first = client.send(wire::reserve{10, {}}), beside = client.send(wire::reserve{10, {}});
  CHECK(client.take<wire::failed>(beside).code == errc::refused);
  server.make_durable();
  const auto granted = client.take<wire::reserved>(first);
  CHECK(client.ask<wire::failed>(wire::reserve{10, {}}).code == errc::refused);  // sent, and not heard of yet
  CHECK(server.engine->usage().chunks_reserved == 10);
  // On a new connection the answer may have been lost; but there it is granted once as well.
  client.lose_connection();
  client.hello();
  const auto again = client.send(wire::reserve{10, {}}), twice = client.send(wire::reserve{10, {}});
  server.make_durable();
  CHECK(client.take<wire::reserved>(again).id == granted.id);
  CHECK(client.take<wire::failed>(twice).code == errc::refused);
}

TEST_CASE("reserve: a full store says so") {
  scene s;
  std::vector<std::unique_ptr<test_client>> clients;
  for (std::uint32_t pid = 10; s.server.engine->usage().chunks_free; ++pid) {
    clients.push_back(std::make_unique<test_client>(s.server, pid));
    for (int i = 0; i < 4; ++i) clients.back()->send(wire::reserve{1024, knows_all});
  }
  test_client last(s.server, 99);
  CHECK(last.ask<wire::failed>(wire::reserve{1, knows_all}).code == errc::no_space);
  CHECK(s.server.serves());
}

TEST_CASE("unshared_query: sets no bit of a chunk that is shared or pending") {
  scene s;
  const auto bits = [&] {
    return s.w2.ask<wire::unshared_map>(wire::unshared_query{s.v2.id, s.v2.epoch, chunk_no{0}, 8}).bits;
  };
  CHECK(bits() == std::string(1, '\0'));
  s.w1.ask<wire::committed>(commit_of(s.v1, s.r1, 2));
  CHECK(bits() == std::string(1, '\x04'));
  s.map();
  s.w1.send(commit_of(s.v1, s.r1, 3, 1));
  CHECK(bits() == std::string(1, '\x04'));
  s.reader.tell(wire::recall_answer{s.reader.pushed<wire::recall>()->id});
  CHECK(bits() == std::string(1, '\x0c'));
  auto stale = s.v2.epoch;
  stale.nonce ^= 1;
  CHECK(s.w2.ask<wire::unshared_map>(wire::unshared_query{s.v2.id, stale, chunk_no{0}, 8}).stale_epoch);
  s.w2.send(wire::unshared_query{s.v2.id, s.v2.epoch, chunk_no{298}, 8});
  CHECK(s.w2.is_hung_up());
}

TEST_CASE("map: one that waited for a record sees all records of the same group commit") {
  scene s;
  s.server.durable_at_once = false;
  s.w1.send(commit_of(s.v1, s.r1, 5));
  const auto map = s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{0}});
  s.w1.send(commit_of(s.v1, s.r1, 6, 1));
  s.server.make_durable();
  const auto runs = s.reader.take<wire::map_reply>(map).runs;
  REQUIRE(runs.size() == 3);
  CHECK(runs[1].count == 2);
}

TEST_CASE("map: only of a snapshot that the session has open, and only whole segments") {
  scene s;
  CHECK(s.w1.ask<wire::failed>(wire::map{s.v1.id, s.snapshot, chunk_no{0}}).code == errc::not_found);
  const auto last = s.reader.ask<wire::map_reply>(wire::map{s.v1.id, s.snapshot, chunk_no{256}});
  REQUIRE(last.runs.size() == 1);
  CHECK(last.runs[0].count == test_volume_chunks - 256);
  s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{1}});
  CHECK(s.reader.is_hung_up());
}

TEST_CASE("map: of a session whose lease ran out while the map waited for a record") {
  scene s;
  s.server.durable_at_once = false;
  s.w1.send(commit_of(s.v1, s.r1, 5));
  const auto map = s.reader.send(wire::map{s.v1.id, s.snapshot, chunk_no{0}});
  s.server.advance(test_lease_over_ms);
  s.server.make_durable();
  CHECK(s.reader.take<wire::failed>(map).code == errc::gone);
}

TEST_CASE("map: a segment with a long history, of which each snapshot sees its own part") {
  scene s;
  constexpr std::uint64_t segment = wire::segment_chunks,
                          history = 6;  // more exceptions than are listed at once
  for (std::uint64_t n = 1; n <= history; ++n) {
    const auto number = s.tool.send(create_of("a", "s" + std::to_string(n)));
    for (auto *w : {&s.w1, &s.w2}) w->tell(wire::freeze_answer{w->pushed<wire::freeze>()->barrier});
    s.tool.take<wire::created>(number);
    s.v1 = s.w1.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    wire::commit all{s.v1.id, s.v1.epoch, {}};
    for (std::uint64_t c = 0; c < segment; ++c) all.entries.push_back({chunk_no{c}, {}, store_chunk::zero()});
    // One chunk near the end differs, another one for each snapshot.
    const store_chunk place{s.r1.first.value + n};
    all.entries[segment - n - 1] = {chunk_no{segment - n - 1}, s.r1.id, place};
    s.w1.ask<wire::committed>(all);
  }
  for (std::uint64_t n = 1; n <= history; ++n) {
    const auto opened =
        s.reader.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "s" + std::to_string(n), {}, {}});
    const auto runs = s.reader.ask<wire::map_reply>(wire::map{s.v1.id, opened.number, chunk_no{0}}).runs;
    REQUIRE(runs.size() == 3);
    CHECK((runs[0].kind == wire::place_kind::zero && runs[0].count == segment - n - 1));
    CHECK((runs[1].kind == wire::place_kind::store && runs[1].first.value == s.r1.first.value + n));
    CHECK((runs[2].kind == wire::place_kind::zero && runs[2].count == n));
  }
}
