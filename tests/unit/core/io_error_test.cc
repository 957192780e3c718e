// SPDX-License-Identifier: BSD-3-Clause
//
// Every read that a conversation makes the server do fails once. The server says what it would have said, or it
// stops; it never answers wrong. (Writes are the owner's, who stops when one fails: tests/crash.)
#include "metaserver/wire/frame.h"
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

// A server just started, on a store with some exceptions none of which is in memory.
struct scene {
  test_server server;
  test_client writer{server, 1}, tool{server, 4, wire::client_role::tool};
  wire::volume_opened volume;
  wire::reserved places;

  scene() {
    tool.ask<wire::created>(create_of("a", "s"));
    volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    places = writer.ask<wire::reserved>(wire::reserve{200, {}});
    for (std::uint64_t i = 0; i < 150; ++i) writer.ask<wire::committed>(commit_of(volume, places, i * 2, i));
    tool.ask<wire::created>(create_of("b", "t"));
    writer.ask<wire::done>(wire::goodbye{});
    server.restart();
    server.restart();
  }

  // Each answer as bytes; an error of the engine, or none, ends it. Whoever comes first reads the pages.
  std::vector<std::vector<std::byte>> talk(bool commits_first) {
    test_client w(server, 7), t(server, 8, wire::client_role::tool);
    server.advance(test_lease_over_ms);  // grace is over
    std::vector<std::vector<std::byte>> said;
    const auto ask = [&](test_client &who, const wire::message &what) {
      if (!server.serves()) return;
      const auto answer = who.answer(who.send(what));
      if (answer && server.serves()) said.push_back(wire::encode_frame({0, {}, *answer}));
    };
    ask(w, wire::open_volume{"a", {}});
    if (commits_first)
      ask(w, wire::commit{volume.id, volume.epoch, {{chunk_no{7}, {}, store_chunk::zero()}}});
    ask(w, wire::open_snapshot{"a", "s", {}, {}});
    ask(w, wire::map{volume.id, snapshot_number{1}, chunk_no{0}});
    ask(w, wire::map{volume.id, snapshot_number{1}, chunk_no{256}});
    ask(w, wire::unshared_query{volume.id, volume.epoch, chunk_no{0}, 300});
    ask(w, wire::reserve{16, {}});
    ask(w, wire::commit{volume.id, volume.epoch, {{chunk_no{5}, {}, store_chunk::zero()}}});
    ask(t, wire::list{});
    ask(t, wire::remove{{{std::byte{1}}}, {"b", "t"}});
    for (int i = 0; i < 4 && server.serves(); ++i) server.tick();
    return said;
  }
};

}  // namespace

TEST_CASE("io errors: each read fails once, and the server answers right or stops") {
  const bool commits_first = GENERATE(false, true);
  scene good;
  const std::uint64_t before = good.server.device().reads();
  const auto expected = good.talk(commits_first);
  const std::uint64_t reads = good.server.device().reads() - before;
  CHECK(expected.size() == (commits_first ? 10 : 9));
  REQUIRE(reads >= 2);
  for (std::uint64_t n = 1; n <= reads; ++n) {
    INFO("read " << n);
    scene s;
    s.server.device().fail_nth(memory_device::operation::read, n);
    const auto said = s.talk(commits_first);
    CHECK_FALSE(s.server.serves());
    CHECK(s.server.stopped.front().code == errc::io);
    REQUIRE(said.size() <= expected.size());
    for (std::size_t i = 0; i < said.size(); ++i) CHECK((said[i] == expected[i]));
    // Nothing is wrong on the device: the next server says it all.
    s.server.stopped.clear();
    s.server.restart();
    CHECK(s.server.serves());
    CHECK(store::check_store(s.server.device()).ok());
  }
}
