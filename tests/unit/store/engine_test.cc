// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

struct fixture {
  memory_device device{tiny_store_bytes};
  std::unique_ptr<engine> e;
  std::uint64_t requests = 0;

  fixture() {
    make_tiny_store(device);
    auto opened = engine::take_over(device, {});
    REQUIRE(opened.has_value());
    e = std::move(*opened);
    volume_info v;
    v.id = volume_id{1};
    v.name = "root";
    v.size_bytes = 1u << 30;
    add(volume_added{v});
    session_info s;
    s.id = session_id{1};
    add(session_opened{s});
  }
  void add(const record &r) {
    if (!e->has_room()) REQUIRE(run_checkpoint(*e, device).has_value());
    auto done = e->append(r);
    if (!done) FAIL(done.error().text);
  }
  unique_id request() {
    unique_id id;
    ++requests;
    for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::byte>((requests >> (8 * i)) & 0xff);
    return id;
  }
  snapshot_number create(const std::string &name) {
    const snapshot_number n{e->last_snapshot_number().value + 1};
    add(snapshots_created{request(), n, n.value, 0, 0, {{volume_id{1}, name}}});
    return n;
  }
  void remove(snapshot_number n) {
    add(snapshot_deleted{request(), volume_id{1}, n});
    add(snapshot_died{volume_id{1}, n});
  }
  void zero_chunk(std::uint64_t chunk, snapshot_number n) {
    add(exceptions_added{volume_id{1}, n, session_id{1}, {{chunk_no{chunk}, {}, store_chunk::zero()}}});
  }
};

}  // namespace

TEST_CASE("engine: a snapshot reads the first exception from its number on", "[store]") {
  fixture f;
  const auto a = f.create("a");
  f.zero_chunk(5, a);
  const auto b = f.create("b"), c = f.create("c");
  f.zero_chunk(5, c);
  const auto at = [&](snapshot_number n) {
    return f.e->find_exception(volume_id{1}, chunk_no{5}, n).value();
  };
  CHECK(at(a)->number == a);
  CHECK(at(b)->number == c);
  CHECK_FALSE(at(snapshot_number{c.value + 1}).has_value());
  CHECK(f.e->last_exception(volume_id{1}, chunk_no{5}).value()->number == c);
  CHECK_FALSE(f.e->last_exception(volume_id{1}, chunk_no{4}).value().has_value());
  CHECK_FALSE(f.e->find_exception(volume_id{1}, chunk_no{6}, a).value().has_value());
}

TEST_CASE("engine: listing is cut at a whole chunk", "[store]") {
  fixture f;
  for (int i = 0; i < 4; ++i) {
    const auto n = f.create("s" + std::to_string(i));
    f.zero_chunk(1, n);
    f.zero_chunk(2, n);
  }
  chunk_no resume;
  auto listed = f.e->list_exceptions(volume_id{1}, chunk_no{0}, chunk_no{9}, 5, &resume);
  CHECK(listed.value().size() == 4);
  CHECK(resume == chunk_no{2});
  listed = f.e->list_exceptions(volume_id{1}, chunk_no{2}, chunk_no{9}, 2, &resume);
  CHECK(listed.value().size() == 4);
  CHECK(resume == chunk_no{9});
}

TEST_CASE("engine: a snapshot that dies during a pass is forgotten by the next whole one", "[store]") {
  fixture f;
  const auto a = f.create("a"), b = f.create("b");
  f.zero_chunk(1, b);
  f.add(reaped{volume_id{1}, chunk_no{0}, chunk_no{1}, false});
  f.remove(a);
  f.add(reaped{volume_id{1}, chunk_no{1}, chunk_no{2}, true});
  CHECK(f.e->snapshots(volume_id{1}).contains(a));
  f.add(reaped{volume_id{1}, chunk_no{0}, chunk_no{2}, true});
  CHECK_FALSE(f.e->snapshots(volume_id{1}).contains(a));
  CHECK(f.e->usage().exceptions == 1);  // b still needs it
  f.remove(b);
  f.add(reaped{volume_id{1}, chunk_no{0}, chunk_no{2}, true});
  CHECK(f.e->usage().exceptions == 0);
}

TEST_CASE("engine: freed chunks are not offered before the record is durable", "[store]") {
  fixture f;
  const std::uint64_t total = f.e->shape().chunk_count;
  std::uint64_t id = 0;
  while (const auto found = f.e->find_free_chunks(1024))
    f.add(chunks_reserved{reservation_id{++id}, session_id{1}, found->first, found->second});
  CHECK(f.e->usage().chunks_reserved == total);
  REQUIRE(run_log_batch(*f.e, f.device).has_value());
  f.add(session_closed{session_id{1}});
  CHECK(f.e->find_free_chunks(1).error().code == errc::no_space);
  CHECK(f.e->usage().chunks_free == total);
  REQUIRE(run_log_batch(*f.e, f.device).has_value());
  CHECK(f.e->find_free_chunks(1024).value().second == 1024);
}

TEST_CASE("engine: with the metadata full, deleting and reaping still make it empty", "[store]") {
  fixture f;
  std::uint64_t chunk = 0, added = 0;
  for (bool full = false; !full;) {
    const auto n = f.e->last_snapshot_number().value < 20 ? f.create("s" + std::to_string(chunk))
                                                          : f.e->last_snapshot_number();
    for (int i = 0; i < 50 && !full; ++i) {
      if (!f.e->has_room()) REQUIRE(run_checkpoint(*f.e, f.device).has_value());
      exceptions_added x{volume_id{1}, n, session_id{1}, {}};
      for (int k = 0; k < 20; ++k)
        x.entries.push_back({chunk_no{(chunk += 7919) % 10000019}, {}, store_chunk::zero()});
      const auto done = f.e->append(x);
      if (done) added += x.entries.size();
      else full = f.e->metadata_is_full();
    }
  }
  REQUIRE(f.e->metadata_is_full());
  CHECK(f.e->usage().exceptions == added);
  CHECK(added > 10000);
  while (!f.e->snapshots(volume_id{1}).empty()) {
    for (const auto all = f.e->snapshots(volume_id{1}); const auto &[n, s] : all)
      if (s.state == snapshot_state::live) f.remove(n);
    const chunk_no cursor = f.e->volumes().at(volume_id{1}).reap_cursor;
    const auto span = f.e->plan_reap(volume_id{1}, cursor, 4096);
    REQUIRE(span.has_value());
    f.add(reaped{volume_id{1}, cursor, span->end, span->end_of_volume});
  }
  CHECK(f.e->usage().exceptions == 0);
  REQUIRE(run_checkpoint(*f.e, f.device).has_value());
  REQUIRE(run_checkpoint(*f.e, f.device).has_value());
  CHECK_FALSE(f.e->metadata_is_full());
  CHECK(f.e->usage().pages_free > 700);
}

TEST_CASE("engine: what has_room() promises is enough for a client's whole batch, until the metadata is full",
          "[store]") {
  fixture f;
  std::uint64_t batches = 0;
  for (; !f.e->metadata_is_full(); ++batches) {
    if (batches % 200 == 0) f.create("s" + std::to_string(batches));
    exceptions_added batch{volume_id{1}, f.e->last_snapshot_number(), session_id{1}, {}};
    for (std::uint64_t i = 0; i < 64;
         ++i)  // far apart: each in a leaf of its own, as far as there are so many
      batch.entries.push_back({chunk_no{i * 256 + batches % 200}, {}, store_chunk::zero()});
    if (!f.e->has_room()) REQUIRE(run_checkpoint(*f.e, f.device).has_value());
    if (f.e->metadata_is_full()) break;
    const auto done = f.e->append(batch);
    if (!done) FAIL("batch " << batches << ": " << done.error().text);
  }
  CHECK(batches > 200);
}

TEST_CASE("engine: requests are remembered over a takeover, the last 1024 of them", "[store]") {
  fixture f;
  for (int i = 0; i < 1030; ++i) f.create("s" + std::to_string(i));
  REQUIRE(run_log_batch(*f.e, f.device).has_value());
  auto again = engine::take_over(f.device, {});
  REQUIRE(again.has_value());
  const std::uint64_t last = f.requests;
  f.requests = 5;
  CHECK_FALSE((*again)->request_done(f.request()));
  CHECK((*again)->request_done(f.request()));
  f.requests = last - 1;
  CHECK((*again)->request_done(f.request()));
}

TEST_CASE(
    "engine: an enlarged store keeps its size over a checkpoint and a crash, up to what its map can tell",
    "[store]") {
  fixture f;
  const geometry before = f.e->shape();
  const std::uint64_t more = before.chunk_count + 3 * 32256 + 5;  // blocks of the map that were not there
  CHECK(f.e->chunks_free_now() == before.chunk_count);
  f.add(store_grown{more});
  CHECK(f.e->chunks_free_now() == more);
  f.add(chunks_reserved{reservation_id{1}, session_id{1}, store_chunk{more - 7}, 7});
  for (const bool with_checkpoint : {false, true}) {
    if (with_checkpoint) REQUIRE(run_checkpoint(*f.e, f.device).has_value());
    else REQUIRE(run_log_batch(*f.e, f.device).has_value());
    auto again = engine::take_over(f.device, {});
    REQUIRE(again.has_value());
    f.e = std::move(*again);
    CHECK(f.e->shape().chunk_count == more);
    CHECK(f.e->chunks_free_now() == more - 7);
    CHECK(check_store(f.device).errors.empty());
  }
  CHECK(chunk_count_max(before) >= more);
  f.add(session_closed{session_id{1}});
  CHECK(f.e->usage().chunks_free == more);
}

TEST_CASE("engine: a store whose map ends with a whole block can be enlarged as well", "[store]") {
  fixture f;
  for (const std::uint64_t blocks : {3, 4, 7}) {
    f.add(store_grown{blocks * 32256});
    REQUIRE(run_checkpoint(*f.e, f.device).has_value());
    auto again = engine::take_over(f.device, {});
    REQUIRE(again.has_value());
    f.e = std::move(*again);
    CHECK(f.e->shape().chunk_count == blocks * 32256);
  }
}

TEST_CASE("engine: returned chunks are free when that is durable, and a reservation of none is gone",
          "[store]") {
  fixture f;
  const std::uint64_t total = f.e->shape().chunk_count;
  f.add(chunks_reserved{reservation_id{1}, session_id{1}, store_chunk{10}, 8});
  f.add(chunks_returned{reservation_id{1}, session_id{1}, store_chunk{12}, 6});
  CHECK(f.e->chunks_free_now() == total - 8);
  REQUIRE(run_log_batch(*f.e, f.device).has_value());
  CHECK(f.e->chunks_free_now() == total - 2);
  CHECK(f.e->usage().chunks_reserved == 2);
  f.add(chunks_returned{reservation_id{1}, session_id{1}, store_chunk{10}, 2});
  CHECK(f.e->reservations().empty());
}
