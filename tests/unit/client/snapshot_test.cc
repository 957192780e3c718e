// SPDX-License-Identifier: BSD-3-Clause
#include "scripted_server.h"

using namespace csnap;
using namespace csnap::client;

namespace {

bool recall_ends_a_read(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open_snap();
  r.map_origin(1);
  const auto plan = r.read(1);
  REQUIRE(plan.places.at(0).kind == wire::place_kind::origin);
  REQUIRE(r.say(wire::recall{11, vol, {{chunk_no{1}, snap, store_chunk{70}}}}));
  REQUIRE(r.take<wire::recall_answer>().id == 11);
  return !r.finish(1, plan);
}

// Fills the cache until the first segment has been dropped.
bool drop_ends_a_read(std::vector<std::string> planted) {
  auto o = test_options(std::move(planted));
  o.map_cache_bytes = 0;
  rig r(o);
  r.connect();
  r.open_snap();
  r.map_origin(1);
  const auto plan = r.read(1);
  for (std::uint64_t segment = 1; segment <= 256; ++segment) {
    REQUIRE(r.is_quiet());
    r.map_origin(segment * 256);
  }
  REQUIRE(r.take<wire::drop>().first == chunk_no{0});
  return !r.finish(1, plan);
}

// The hello answers every recall: what was cached must be void before the welcome comes.
bool hello_voids_delegations(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open_snap();
  r.map_origin(1);
  const auto plan = r.read(1);
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  return !r.finish(1, plan) && r.read(1).what == read_state::wait;
}

bool no_read_without_lease(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open_snap();
  r.map_origin(1);
  const auto plan = r.read(1);
  r.now.value += test_lease_ms;
  return !r.finish(1, plan);
}

}  // namespace

TEST_CASE("snapshot: a recall ends reads of that chunk from the origin") {
  REQUIRE(recall_ends_a_read({}));
  REQUIRE_FALSE(recall_ends_a_read({"no_recheck"}));
}

TEST_CASE("snapshot: a dropped segment ends reads from the origin") {
  REQUIRE(drop_ends_a_read({}));
  REQUIRE_FALSE(drop_ends_a_read({"drop_keeps_reads"}));
}

TEST_CASE("snapshot: delegations are void before the hello") {
  REQUIRE(hello_voids_delegations({}));
  REQUIRE_FALSE(hello_voids_delegations({"void_at_welcome"}));
}

TEST_CASE("snapshot: a read does not complete when the lease is out") {
  REQUIRE(no_read_without_lease({}));
  REQUIRE_FALSE(no_read_without_lease({"no_lease_check"}));
}

TEST_CASE("snapshot: places come from the map, across segments") {
  rig r;
  r.connect();
  r.open_snap();
  REQUIRE(r.read(254, 4).what == read_state::wait);
  REQUIRE(r.read(254, 4).what == read_state::wait);
  const auto first =
      r.answer_with<wire::map>(wire::map_reply{{{254, wire::place_kind::origin, {}},
                                                {1, wire::place_kind::zero, {}},
                                                {1, wire::place_kind::store, store_chunk{8}}}});
  REQUIRE(first.first == chunk_no{0});
  const auto second =
      r.answer_with<wire::map>(wire::map_reply{{{256, wire::place_kind::store, store_chunk{500}}}});
  REQUIRE(second.first == chunk_no{256});
  REQUIRE(r.is_quiet());
  const auto plan = r.read(254, 4);
  REQUIRE(plan.what == read_state::ready);
  REQUIRE(plan.places.at(0).kind == wire::place_kind::zero);
  REQUIRE(plan.places.at(1).chunk == store_chunk{8});
  REQUIRE(plan.places.at(3).chunk == store_chunk{501});
  REQUIRE(r.finish(254, plan));
}

TEST_CASE("snapshot: a recall moves the place for older snapshots only, and a later map is not patched") {
  rig r;
  r.connect();
  r.open_snap(snapshot_number{5});
  r.open_snap(snapshot_number{6});
  r.map_origin(1, snapshot_number{5});
  r.map_origin(1, snapshot_number{6});
  const auto newer = r.read(1, 1, snapshot_number{6});
  REQUIRE(r.say(wire::recall{1, vol, {{chunk_no{1}, snapshot_number{5}, store_chunk{70}}}}));
  REQUIRE(r.read(1, 1, snapshot_number{5}).places.at(0).chunk == store_chunk{70});
  REQUIRE(r.finish(1, newer, snapshot_number{6}));
  const auto plan = r.read(1, 1, snapshot_number{5});
  REQUIRE(r.say(wire::recall{2, vol, {{chunk_no{1}, snapshot_number{6}, store_chunk::zero()}}}));
  REQUIRE(r.finish(1, plan, snapshot_number{5}));  // what is in the store does not move
  REQUIRE(r.read(1, 1, snapshot_number{6}).places.at(0).kind == wire::place_kind::zero);
}

TEST_CASE("snapshot: a recall before the map's answer was worked into that answer by the server") {
  rig r;
  r.connect();
  r.open_snap();
  REQUIRE(r.read(1).what == read_state::wait);
  std::uint64_t id = 0;
  (void)r.take<wire::map>(&id);
  REQUIRE(r.say(wire::recall{1, vol, {{chunk_no{1}, snap, store_chunk{70}}}}));
  (void)r.take<wire::recall_answer>();
  REQUIRE(r.reply(id, wire::map_reply{{{1, wire::place_kind::origin, {}},
                                       {1, wire::place_kind::store, store_chunk{70}},
                                       {254, wire::place_kind::origin, {}}}}));
  REQUIRE(r.read(1).places.at(0).chunk == store_chunk{70});
}

TEST_CASE("snapshot: a segment is not dropped while a map of it is being fetched") {
  auto o = test_options();
  o.map_cache_bytes = 0;
  rig r(o);
  r.connect();
  r.open_snap(snapshot_number{5});
  r.open_snap(snapshot_number{6});
  r.map_origin(1, snapshot_number{5});
  REQUIRE(r.read(1, 1, snapshot_number{6}).what == read_state::wait);
  std::uint64_t id = 0;
  (void)r.take<wire::map>(&id);
  for (std::uint64_t segment = 1; segment <= 256; ++segment) r.map_origin(segment * 256, snapshot_number{5});
  REQUIRE(r.take<wire::drop>().first == chunk_no{256});
  REQUIRE(r.is_quiet());
}

TEST_CASE("snapshot: one that is gone ends its reads at once") {
  rig r;
  r.connect();
  r.open_snap();
  REQUIRE(r.read(1).what == read_state::wait);
  (void)r.answer_with<wire::map>(wire::map_reply{{{256, wire::place_kind::store, store_chunk{500}}}});
  const auto plan = r.read(1);
  REQUIRE(r.say(wire::snapshot_gone{vol, snap}));
  REQUIRE(r.take<wire::snapshot_gone_answer>().number == snap);
  REQUIRE_FALSE(r.finish(1, plan));
  REQUIRE(r.read(1).what == read_state::gone);
  r.machine.close_snapshot(vol, snap);
  (void)r.take<wire::close_snapshot>();
}

TEST_CASE("snapshot: what is cached outlives a lost connection, but not the next hello") {
  rig r;
  r.connect();
  r.open_snap();
  REQUIRE(r.read(1).what == read_state::wait);
  (void)r.answer_with<wire::map>(
      wire::map_reply{{{2, wire::place_kind::store, store_chunk{500}}, {254, wire::place_kind::origin, {}}}});
  const auto in_store = r.read(1);
  const auto in_origin = r.read(2);
  r.machine.disconnected(r.now);
  REQUIRE(r.finish(1, in_store));
  REQUIRE(r.finish(2, in_origin));
  REQUIRE(r.read(1).what == read_state::ready);
  REQUIRE(r.read(2).what == read_state::ready);
  r.machine.connected(r.now);
  REQUIRE_FALSE(r.finish(1, in_store));
  REQUIRE_FALSE(r.finish(2, in_origin));
}

TEST_CASE("snapshot: one that is not found after a reconnect is gone") {
  rig r;
  r.connect();
  r.open_snap();
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  (void)r.answer_with<wire::hello>(r.welcome());
  (void)r.answer_with<wire::open_snapshot>(wire::failed{errc::not_found, "no", {}});
  REQUIRE(r.read(1).what == read_state::gone);
}

TEST_CASE("snapshot: maps that cannot be are refused") {
  const auto outcome = [](std::vector<wire::map_run> runs) {
    rig r;
    r.connect();
    r.open_snap(snap, 300);
    REQUIRE(r.read(299).what == read_state::wait);
    std::uint64_t id = 0;
    (void)r.take<wire::map>(&id);
    return r.reply(id, wire::map_reply{std::move(runs)}).has_value();
  };
  using enum wire::place_kind;
  REQUIRE(outcome({{44, origin, {}}}));
  REQUIRE_FALSE(outcome({{43, origin, {}}}));
  REQUIRE_FALSE(outcome({{45, origin, {}}}));
  REQUIRE_FALSE(outcome({{0, origin, {}}, {44, origin, {}}}));
  REQUIRE_FALSE(outcome({{44, store, store_chunk{test_store_chunks - 43}}}));
  REQUIRE_FALSE(outcome({{4294967295u, store, store_chunk{1}}}));
}

TEST_CASE("snapshot: it is closed at the last close") {
  rig r;
  r.connect();
  r.open_snap();
  r.open_snap();
  r.machine.close_snapshot(vol, snap);
  REQUIRE(r.is_quiet());
  r.machine.close_snapshot(vol, snap);
  (void)r.take<wire::close_snapshot>();
  REQUIRE(r.read(1).what == read_state::gone);
}
