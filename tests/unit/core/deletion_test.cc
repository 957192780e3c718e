// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

struct scene {
  explicit scene(std::vector<std::string> planted = {}, std::size_t reap_batch = 4096)
      : server(std::move(planted), reap_batch),
        writer(server, 1),
        reader(server, 3),
        tool(server, 4, wire::client_role::tool) {
    number = tool.ask<wire::created>(create_of("a", "s")).number;
    volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    reader.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "s", {}, {}});
  }
  bool has_snapshots() { return writer.ask<wire::volume_opened>(wire::open_volume{"a", {}}).has_snapshots; }
  test_server server;
  test_client writer, reader, tool;
  wire::volume_opened volume;
  snapshot_number number;
};

bool a_deleted_snapshot_is_shared_until_its_readers_answered(const std::vector<std::string> &planted) {
  scene s(planted);
  s.tool.ask<wire::done>(remove_of("a", "s"));
  if (!s.has_snapshots()) return false;
  const auto gone = s.reader.pushed<wire::snapshot_gone>();
  if (!gone || gone->number != s.number) return false;
  s.reader.tell(wire::snapshot_gone_answer{gone->volume, gone->number});
  return !s.has_snapshots();
}

}  // namespace

TEST_CASE("delete: the snapshot counts for sharing until every reader has answered") {
  CHECK(a_deleted_snapshot_is_shared_until_its_readers_answered({}));
  CHECK_FALSE(a_deleted_snapshot_is_shared_until_its_readers_answered({"free_at_once"}));
}

TEST_CASE("delete: a reader's lease end, death, hello and close count as its answer") {
  for (const int how : {0, 1, 2, 3}) {
    scene s;
    s.tool.ask<wire::done>(remove_of("a", "s"));
    CHECK(s.has_snapshots());
    if (how == 0) {
      s.server.advance(test_lease_over_ms - 1);
      s.writer.ask<wire::renewed>(wire::renew{});
      CHECK(s.has_snapshots());
      s.server.advance(1);
    } else if (how == 1) {
      s.server.died(s.reader.session);
    } else if (how == 2) {
      s.reader.hello();
    } else {
      s.reader.ask<wire::done>(wire::close_snapshot{s.volume.id, s.number});
    }
    CHECK_FALSE(s.has_snapshots());
  }
}

TEST_CASE("delete: is answered when durable, and readers are told only then") {
  scene s;
  s.server.durable_at_once = false;
  const auto request = s.tool.send(remove_of("a", "s"));
  CHECK_FALSE(s.tool.answer(request));
  CHECK_FALSE(s.reader.pushed<wire::snapshot_gone>());
  s.server.make_durable();
  s.tool.take<wire::done>(request);
  CHECK(s.reader.pushed<wire::snapshot_gone>());
}

TEST_CASE("delete: the name is free at once, and a dying snapshot can be neither opened nor mapped") {
  scene s;
  s.tool.ask<wire::done>(remove_of("a", "s"));
  CHECK(s.reader.ask<wire::failed>(wire::map{s.volume.id, s.number, chunk_no{0}}).code == errc::not_found);
  const wire::open_snapshot again{"", "", s.volume.id, s.number};
  CHECK(s.reader.ask<wire::failed>(again).code == errc::not_found);
  const auto request = s.tool.send(create_of("a", "s"));
  s.writer.tell(wire::freeze_answer{s.writer.pushed<wire::freeze>()->barrier});
  CHECK(s.tool.take<wire::created>(request).number.value == 2);
}

TEST_CASE("delete: repeated with the same request it has one effect") {
  scene s;
  const auto what = remove_of("a", "s");
  s.tool.ask<wire::done>(what);
  s.tool.ask<wire::done>(what);
  CHECK(s.tool.ask<wire::failed>(remove_of("a", "s")).code == errc::not_found);
}

TEST_CASE("delete: in grace a dying snapshot stays dying") {
  scene s;
  s.tool.ask<wire::done>(remove_of("a", "s"));
  s.server.restart();
  s.writer.hello();
  CHECK(s.server.engine->snapshots(s.volume.id).at(s.number).state == store::snapshot_state::dying);
  s.reader.hello();
  s.server.tick();
  s.server.tick();
  CHECK(s.server.engine->snapshots(s.volume.id).empty());
}

TEST_CASE("reaper: frees in bounded steps what only the deleted snapshot needed") {
  scene s({}, 4);
  const auto r = s.writer.ask<wire::reserved>(wire::reserve{20, knows_all});
  for (std::uint64_t c = 0; c < 20; ++c) s.writer.ask<wire::committed>(commit_of(s.volume, r, c, c));
  CHECK(s.server.engine->exceptions_of(s.volume.id) == 20);
  s.tool.ask<wire::done>(remove_of("a", "s"));
  s.reader.tell(wire::snapshot_gone_answer{s.volume.id, s.number});
  CHECK(s.server.core->status(s.server.now).reaper.active);
  CHECK(s.server.core->next_tick(s.server.now) == s.server.now);
  s.server.tick();
  CHECK(s.server.engine->exceptions_of(s.volume.id) < 20);
  CHECK(s.server.engine->exceptions_of(s.volume.id) >= 12);
  for (int i = 0; i < 30; ++i) s.server.tick();
  const auto status = s.server.core->status(s.server.now).reaper;
  CHECK_FALSE(status.active);
  CHECK(status.exceptions_removed == 20);
  CHECK(status.snapshots_waiting == 0);
  CHECK(s.server.engine->usage().chunks_owned == 0);
}
