// SPDX-License-Identifier: BSD-3-Clause
//
// check and dump on a small store: clean ones, and stores in which one thing was made wrong on purpose.
#include "tests/unit/store/tampered_sample.h"

#include <nlohmann/json.hpp>

namespace csnap::test {

using namespace store;

TEST_CASE("check: a store with one of everything is clean, before and after a checkpoint") {
  for (const bool with_checkpoint : {false, true}) {
    const auto device = filled_sample(with_checkpoint);
    const auto before = device->content;
    const auto report = check_store(*device);
    for (const auto &line : report.errors) UNSCOPED_INFO(line);
    CHECK(report.ok());
    CHECK(report.volumes == 2);
    CHECK(report.snapshots == 3);
    CHECK(report.exceptions == 40);
    CHECK(report.chunks_owned == 39);
    CHECK(report.chunks_reserved == 21);
    CHECK(report.chunks_free == read_label(*device)->shape.chunk_count - 60);
    CHECK(report.log_records == (with_checkpoint ? 0 : 6));
    CHECK((device->content == before));
  }
}

TEST_CASE("check: each thing made wrong on purpose is found") {
  const auto report_of = [](const std::function<void(store_state &)> &change) {
    return check_store(*tampered_sample(change));
  };
  CHECK(report_of([](store_state &) {}).ok());
  CHECK(finds(report_of([](store_state &s) { s.chunks.take(100); }), "they leak"));
  CHECK(finds(report_of([](store_state &s) { s.chunks.free_now(4); }), "given out again"));
  CHECK(finds(report_of([](store_state &s) { s.chunks.free_now(50); }), "given out again"));
  CHECK(
      finds(report_of([](store_state &s) { put_exception(s, 1, 1, store_chunk{5}); }), "owners: expected 1"));
  CHECK(finds(report_of([](store_state &s) { put_exception(s, 1, 1, store_chunk{50}); }),
              "owners: expected 1"));
  CHECK(
      finds(report_of([](store_state &s) { put_exception(s, 1, 1, store_chunk{1 << 20}); }), "store chunk"));
  CHECK(finds(report_of([](store_state &s) { put_exception(s, 1 << 14, 1, store_chunk::zero()); }),
              ": chunk:"));
  CHECK(finds(report_of([](store_state &s) { put_exception(s, 1, 3, store_chunk::zero()); }), ": number:"));
  CHECK(finds(report_of([](store_state &s) { put_exception(s, 1, 0, store_chunk::zero()); }), ": number:"));
  CHECK(finds(report_of([](store_state &s) { ++s.exception_count; }), "root: exceptions"));
  CHECK(finds(report_of([](store_state &s) {
                ++s.catalog.change_detail(volume_id{2}).exception_count;
                s.catalog.note(catalog_kind::volume, 2);
              }),
              "volume 2: exceptions"));
  CHECK(finds(report_of([](store_state &s) {
                s.catalog.sessions.erase(session_id{1});
                s.catalog.note(catalog_kind::session, 1);
              }),
              "reservation 1: session"));
  CHECK(finds(report_of([](store_state &s) { REQUIRE(s.pages.allocate()); }), "map of pages: expected free"));
  CHECK(finds(report_of([](store_state &s) { s.catalog.last_snapshot = snapshot_number{1}; }), "epoch"));
}

TEST_CASE("check: a flipped bit in any block that is in use is found") {
  auto device = filled_sample(false);
  const geometry shape = read_label(*device)->shape;
  store_state state(*device, shape, 1 << 20);
  const auto slots = read_all_slots(*device, shape);
  const root newest = newest_root_of(*slots)->newest_root;
  REQUIRE(state.load(newest, {}, {}));
  unsigned blocks = 0;
  for (std::uint64_t page = 0; page < shape.page_count; ++page) {
    if (!state.pages.map().is_busy(page)) continue;
    ++blocks;
    std::byte &target = device->content[shape.pages_offset_bytes + page * block_bytes + 2000];
    target ^= std::byte{4};
    CHECK_FALSE(check_store(*device).ok());
    target ^= std::byte{4};
  }
  CHECK(blocks >= 4);
  // The last block of the log is as if torn: the store is as before it. One before it is damage.
  CHECK(check_store(*device).ok());
}

TEST_CASE("check: a torn copy in a slot is a note, both copies torn are an error") {
  auto device = filled_sample(true);
  const std::size_t slot = read_label(*device)->shape.slots_offset_bytes;
  device->content[slot + 200] ^= std::byte{1};
  CHECK(check_store(*device).ok());
  CHECK(check_store(*device).notes.size() == 1);
  device->content[slot + block_bytes + 200] ^= std::byte{1};
  CHECK_FALSE(check_store(*device).ok());
}

TEST_CASE("dump: is one JSON document with everything in it and no secret") {
  for (const bool with_checkpoint : {false, true}) {
    auto device = filled_sample(with_checkpoint);
    std::string text;
    REQUIRE(dump_store(*device, [&](std::string_view piece) { text += piece; }));
    const auto json = nlohmann::json::parse(text);
    CHECK(json["geometry"]["chunk_bytes"] == 65536);
    CHECK(json["settings"]["lease_ms"] == 5000);
    CHECK(json["volumes"].size() == 2);
    CHECK(json["volumes"][1]["device"] == "nbd://host/\"x\"\n");
    CHECK(json["snapshots"].size() == 3);
    CHECK(json["snapshots"][0]["state"] == "dying");
    CHECK(json["snapshots"][1]["priority"] == -5);
    CHECK(json["exceptions"]["1"].size() == 40);
    CHECK(json["exceptions"]["1"][1] == nlohmann::json::array({7, 1, 4}));
    CHECK(json["exceptions"]["1"][39] == nlohmann::json::array({5000, 1, "zero"}));
    CHECK(json["exceptions"]["2"].empty());
    CHECK(json["reservations"][0]["reserved"].get<std::string>().substr(37, 4) == "0011");
    CHECK(json["free"][0] == nlohmann::json::array({0, 3}));
    CHECK(json["free"][1][0] == 63);
    CHECK(json["sessions"][0]["node"] == "node-a");
    CHECK(text.find("5e5e5e5e") == std::string::npos);
  }
}

}  // namespace csnap::test
