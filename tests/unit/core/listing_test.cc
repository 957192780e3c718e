// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

struct scene {
  test_server server;
  test_client writer{server, 1}, tool{server, 4, wire::client_role::tool};
  wire::volume_opened volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  wire::reserved r = writer.ask<wire::reserved>(wire::reserve{64, knows_all});
  std::uint64_t used = 0;

  void create(const std::string &name) {
    const auto request = tool.send(create_of("a", name));
    writer.tell(wire::freeze_answer{writer.pushed<wire::freeze>()->barrier});
    tool.take<wire::created>(request);
    volume.epoch = writer.pushed<wire::thaw>()->volumes[0].epoch;
  }
  void write(std::uint64_t chunk) { writer.ask<wire::committed>(commit_of(volume, r, chunk, used++)); }
  void write_over_zero(std::uint64_t chunk) {
    writer.ask<wire::committed>(
        wire::commit{volume.id, volume.epoch, {{chunk_no{chunk}, {}, store_chunk::zero()}}});
  }
  wire::diff_reply diff(const std::string &older, const std::string &newer) {
    wire::diff d;
    d.volume = "a", d.older = older, d.newer = newer;
    return tool.ask<wire::diff_reply>(d);
  }
};

}  // namespace

TEST_CASE("list: pages through the snapshots in order") {
  test_server server;
  test_client tool(server, 4, wire::client_role::tool);
  for (int i = 0; i < 500; ++i)
    tool.ask<wire::created>(create_of(i % 2 ? "a" : "b", "s" + std::to_string(i)));
  auto page = tool.ask<wire::list_reply>(wire::list{});
  REQUIRE(page.snapshots.size() == wire::list_entries_max);
  CHECK(page.more);
  CHECK(page.volumes[0].snapshot_count == 250);
  const auto last = page.snapshots.back();
  page = tool.ask<wire::list_reply>(wire::list{"", last.volume, last.number});
  CHECK(page.snapshots.size() == 100);
  CHECK_FALSE(page.more);
  CHECK(tool.ask<wire::list_reply>(wire::list{"a", {}, {}}).snapshots.size() == 250);
  CHECK(tool.ask<wire::failed>(wire::list{"z", {}, {}}).code == errc::not_found);
}

TEST_CASE("diff: exactly the chunks with an exception numbered in [a, b)") {
  scene s;
  s.create("s1");
  for (const std::uint64_t c : {3, 4, 9}) s.write(c);
  s.create("s2");
  s.write(4);
  s.write(20);
  s.create("s3");
  const auto d12 = s.diff("s1", "s2");
  CHECK(d12.finished);
  CHECK(d12.size_bytes == test_volume_chunks * test_chunk_bytes);
  REQUIRE(d12.runs.size() == 2);
  CHECK(d12.runs[0].first.value == 3);
  CHECK(d12.runs[0].count == 2);
  CHECK(d12.runs[1].first.value == 9);
  CHECK(s.diff("s1", "s3").runs.size() == 3);
  const auto d23 = s.diff("s2", "s3");
  REQUIRE(d23.runs.size() == 2);
  CHECK(d23.runs[0].first.value == 4);
  CHECK(d23.runs[1].first.value == 20);
}

TEST_CASE("diff: says which chunks are known to be zero in the newer snapshot") {
  scene s;
  s.create("s1");
  s.write(3);
  s.write(4);
  s.create("s2");
  s.write_over_zero(3);
  const auto d = s.diff("s1", "s2");
  REQUIRE(d.runs.size() == 2);
  CHECK(d.runs[0].zero);
  CHECK_FALSE(d.runs[1].zero);
}

TEST_CASE("diff: wrong order and unknown names are refused; numbers need both snapshots open") {
  scene s;
  s.create("s1");
  s.create("s2");
  wire::diff d;
  d.volume = "a", d.older = "s2", d.newer = "s1";
  CHECK(s.tool.ask<wire::failed>(d).code == errc::invalid);
  d.newer = "none";
  CHECK(s.tool.ask<wire::failed>(d).code == errc::not_found);
  wire::diff by_number;
  by_number.id = s.volume.id, by_number.older_number.value = 1, by_number.newer_number.value = 2;
  CHECK(s.writer.ask<wire::failed>(by_number).code == errc::not_found);
  for (const char *name : {"s1", "s2"})
    s.writer.ask<wire::snapshot_opened>(wire::open_snapshot{"a", name, {}, {}});
  CHECK(s.writer.ask<wire::diff_reply>(by_number).finished);
}

TEST_CASE("rename: changes the name once, and not to one that is taken") {
  scene s;
  s.create("s1");
  s.create("s2");
  CHECK(s.tool.ask<wire::failed>(wire::rename{request_id(), {"a", "s1"}, "s2"}).code == errc::exists);
  CHECK(s.tool.ask<wire::failed>(wire::rename{request_id(), {"a", "s1"}, "../x"}).code == errc::invalid);
  const wire::rename good{request_id(), {"a", "s1"}, "s3"};
  s.tool.ask<wire::done>(good);
  s.tool.ask<wire::done>(good);
  CHECK(s.server.engine->find_snapshot(s.volume.id, "s3")->number.value == 1);
}
