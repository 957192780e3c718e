// SPDX-License-Identifier: BSD-3-Clause
//
// Reads and block status of snapshots and differences, against a scripted client.
#include "fake_client.h"
#include "nbdkit-plugin/difference_io.h"
#include "nbdkit-plugin/snapshot_io.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <deque>
#include <thread>

using namespace csnap;
using namespace csnap::test;
using plugin::export_extent;
using wire::place_kind;

namespace {

constexpr std::uint32_t chunk = fake_client::chunk_bytes;
constexpr std::uint64_t chunks = 600;

class scripted_client final : public plugin::volume_client {
 public:
  std::vector<client::read_place> places = std::vector<client::read_place>(chunks);
  int failing_finishes = 0;         // next so many device reads were in vain
  bool fail_when_together = false;  // and all of several chunks
  bool is_gone = false, stop = false;
  std::vector<std::uint64_t> counts;  // of the begin_read calls
  client::read_watch watched;
  std::deque<wire::diff_reply> differences;
  std::vector<std::uint64_t> asked;  // first chunks of the differences

  result<client::read_plan> begin_read(volume_id, snapshot_number, chunk_no first,
                                       std::uint64_t count) override {
    counts.push_back(count);
    client::read_plan plan;
    plan.what = is_gone ? client::read_state::gone : client::read_state::ready;
    if (is_gone) return plan;
    check(first.value + count <= places.size(), "chunks beyond the snapshot");
    const auto begin = places.begin() + static_cast<std::ptrdiff_t>(first.value);
    plan.seen = watched.changes();
    plan.places.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    return plan;
  }
  bool finish_read(volume_id, snapshot_number, chunk_no, const client::read_plan &plan) override {
    if (fail_when_together && plan.places.size() > 1) return false;
    return failing_finishes-- <= 0;
  }
  const client::read_watch &watch() const override { return watched; }
  result<wire::diff_reply> diff(volume_id, snapshot_number, snapshot_number, chunk_no first) override {
    asked.push_back(first.value);
    check(!differences.empty(), "one difference too many was asked for");
    const auto answer = differences.front();
    differences.pop_front();
    return answer;
  }
  bool interrupted() override { return stop; }
  result<client::write_verdict> begin_write(volume_id, chunk_no, std::uint64_t) override { unreachable(); }
  void end_write(volume_id) override { unreachable(); }
  boottime_ms now() override { return {}; }
  void write_drained() override {}
  result<std::vector<client::reserved_chunk>> take_reserved(volume_id, std::uint32_t, bool) override {
    unreachable();
  }
  void return_unused(std::span<const client::reserved_chunk>) override { unreachable(); }
  result<wire::committed> commit(wire::commit) override { unreachable(); }
};

wire::welcome layout() {
  wire::welcome w;
  w.chunk_bytes = chunk;
  w.chunk_count = chunks;
  return w;
}

// The origin's chunk c is full of c, the store's chunk p full of 0x80 + p.
struct fixture {
  fake_device origin{chunks * chunk - 1000}, store_device{chunks * chunk};
  plugin::chunk_store store{store_device, layout()};
  scripted_client client;
  plugin::snapshot_io io{{volume_id{1}, snapshot_number{5}, chunks *chunk - 1000}, origin, store, client};
  std::vector<std::byte> wanted = std::vector<std::byte>(chunks * chunk - 1000);

  fixture() {
    for (std::uint64_t c = 0; c < chunks; ++c) {
      origin.fill(c * chunk, c + 1 == chunks ? chunk - 1000 : chunk, static_cast<unsigned char>(c));
      store_device.fill(c * chunk, chunk, static_cast<unsigned char>(0x80 + c));
    }
  }
  void place(std::uint64_t c, place_kind kind, std::uint64_t at = 0) {
    client.places[c] = {kind, store_chunk{at}};
  }
  // What a read must give, chunk by chunk and without any of the code under test.
  std::vector<std::byte> expected(std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> out;
    for (std::uint64_t at = offset; at < offset + length; ++at) {
      const auto &p = client.places[at / chunk];
      const std::uint64_t value = p.kind == place_kind::zero    ? 0
                                  : p.kind == place_kind::store ? 0x80 + p.chunk.value
                                                                : at / chunk;
      out.push_back(static_cast<std::byte>(value & 0xff));
    }
    return out;
  }
  void check_read(std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> got(length, std::byte{0x55});
    REQUIRE(io.read(offset, got).has_value());
    CHECK(got == expected(offset, length));
  }
};

using list = std::vector<export_extent>;
list known(const result<list> &got) {
  REQUIRE(got.has_value());
  return *got;
}

}  // namespace

TEST_CASE("snapshot_io: a read gathers its chunks from origin, store and nowhere") {
  fixture f;
  f.place(1, place_kind::store, 7);
  f.place(2, place_kind::store, 8);
  f.place(3, place_kind::store, 300);
  f.place(4, place_kind::zero);
  f.check_read(0, 8 * chunk);
  CHECK(f.store_device.reads == 2u);  // 7 and 8 in one
  CHECK(f.origin.reads == 2u);        // 0; 5 to 7 in one
  f.check_read(chunk + 100, 10);
  f.check_read(chunk + 100, 2 * chunk);
  f.check_read(4 * chunk - 1, 2);
  f.check_read(chunks * chunk - 1001, 1);
}

TEST_CASE("snapshot_io: where a chunk lies is asked once while nothing changes") {
  fixture f;
  f.client.watched.set_lease(boottime_ms{1000});
  f.place(2, place_kind::store, 9);
  f.place(3, place_kind::zero);
  for (int round = 0; round < 3; ++round)
    for (const std::uint64_t c : {1, 2, 3}) f.check_read(c * chunk + 7, 100);
  CHECK(f.client.counts.size() == 3);

  f.client.watched.note_change();
  f.place(1, place_kind::store, 11);
  f.check_read(chunk, 100);
  CHECK(f.client.counts.size() == 4);

  f.store_device.fail_reads = true;  // an error of a place that holds is one
  std::vector<std::byte> into(10);
  CHECK(f.io.read(chunk, into).error().code == errc::io);
  CHECK(f.client.counts.size() == 4);
}

TEST_CASE("snapshot_io: a hint does not outlive a change during the read, nor the lease") {
  fixture f;
  f.client.watched.set_lease(boottime_ms{1000});
  f.check_read(chunk, 100);
  // The chunk is copied out and overwritten while the origin is read.
  f.origin.after_read = [&] {
    if (f.client.places[1].kind != place_kind::origin) return;
    f.client.watched.note_change();
    f.place(1, place_kind::store, 7);
  };
  f.check_read(chunk, 100);
  CHECK(f.client.counts.size() == 2);
  CHECK(f.origin.reads == 2u);
  CHECK(f.store_device.reads == 1u);

  f.client.watched.set_lease(boottime_ms{0});
  f.check_read(chunk, 100);
  CHECK(f.client.counts.size() == 3);
}

TEST_CASE("snapshot_io: chunks that share a slot of the hints do not take each other's place") {
  plugin::place_hints hints;
  const auto at = [](std::uint64_t p) {
    return plugin::place_hints::hint{1, {place_kind::store, store_chunk{p}}};
  };
  CHECK(!hints.find(chunk_no{5}));
  hints.note(chunk_no{5}, at(50));
  CHECK(hints.find(chunk_no{5})->place.chunk == store_chunk{50});
  CHECK(!hints.find(chunk_no{5 + 4096}));
  hints.note(chunk_no{5 + 4096}, at(60));
  CHECK(!hints.find(chunk_no{5}));
  CHECK(hints.find(chunk_no{5 + 4096})->place.chunk == store_chunk{60});
}

TEST_CASE("snapshot_io: threads never see half of a hint") {
  plugin::place_hints hints;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> torn = 0, found = 0;
  const auto write = [&](std::uint64_t chunk) {
    for (std::uint64_t n = 0; !stop; ++n) {
      hints.note(chunk_no{chunk}, {n, {place_kind::store, store_chunk{chunk + n}}});
      if (n % 64 == 0) std::this_thread::yield();
    }
  };
  std::vector<std::thread> threads;
  for (const std::uint64_t c : {7u, 7u + 4096}) threads.emplace_back(write, c);
  for (int round = 0; found < 20'000'000 && round < 400'000'000; ++round)
    for (const std::uint64_t c : {7u, 7u + 4096})
      if (const auto h = hints.find(chunk_no{c})) {
        ++found;
        if (h->place.chunk.value != c + h->seen) ++torn;
      }
  stop = true;
  for (auto &t : threads) t.join();
  CHECK(torn == 0);
  CHECK(found >= 20'000'000);
}

TEST_CASE("snapshot_io: a long read goes in bounded pieces") {
  fixture f;
  f.check_read(10, 590 * chunk);
  CHECK(f.client.counts == std::vector<std::uint64_t>{256, 256, 79});
}

TEST_CASE("snapshot_io: a read whose chunks moved meanwhile is done again") {
  fixture f;
  f.client.failing_finishes = 3;
  f.check_read(0, 4 * chunk);
  CHECK(f.client.counts.size() == 4);
}

TEST_CASE("snapshot_io: a device error counts only if the plan still held") {
  fixture f;
  std::vector<std::byte> into(10);
  f.origin.fail_reads = true;
  CHECK(f.io.read(0, into).error().code == errc::io);
}

TEST_CASE("snapshot_io: a read that never holds together goes on chunk by chunk, and ends at some time") {
  fixture f;
  SECTION("chunks alone succeed") {
    f.client.fail_when_together = true;
    f.check_read(100, 4 * chunk);
  }
  SECTION("nothing succeeds") {
    f.client.failing_finishes = 1 << 30;
    std::vector<std::byte> into(2 * chunk);
    CHECK(f.io.read(0, into).error().code == errc::io);
  }
  SECTION("nbdkit ends") {
    f.client.failing_finishes = 1 << 30;
    f.client.stop = true;
    std::vector<std::byte> into(2 * chunk);
    CHECK(f.io.read(0, into).error().code == errc::shutting_down);
  }
}

TEST_CASE("snapshot_io: a deleted snapshot gives an error, and so does a place outside the store") {
  fixture f;
  std::vector<std::byte> into(10);
  f.place(0, place_kind::store, chunks);
  CHECK(f.io.read(0, into).error().code == errc::io);
  f.place(0, place_kind::store, ~std::uint64_t{0});
  CHECK(f.io.read(0, into).error().code == errc::io);
  f.client.is_gone = true;
  CHECK(f.io.read(0, into).error().code == errc::gone);
  CHECK(f.io.extents(0, 10, false).error().code == errc::gone);
}

TEST_CASE("snapshot_io: extents say hole and zero for zero chunks, never beyond the range") {
  fixture f;
  f.place(1, place_kind::zero);
  f.place(2, place_kind::zero);
  f.place(3, place_kind::store, 9);
  CHECK(known(f.io.extents(0, 5 * chunk, false)) ==
        list{{0, chunk, 0}, {chunk, 2 * chunk, 3}, {3 * chunk, 2 * chunk, 0}});
  CHECK(known(f.io.extents(chunk + 10, 20, false)) == list{{chunk + 10, 20, 3}});
  CHECK(known(f.io.extents(chunk + 10, 4 * chunk, true)) == list{{chunk + 10, 2 * chunk - 10, 3}});
  CHECK(known(f.io.extents(0, chunks * chunk - 1000, true)) == list{{0, chunk, 0}});
  const std::uint64_t rest = (chunks - 4) * chunk - 1000;
  CHECK(known(f.io.extents(4 * chunk, rest, false)) == list{{4 * chunk, rest, 0}});
}

TEST_CASE("difference_io: unchanged is a hole, changed is data or zero, and answers are kept") {
  scripted_client client;
  plugin::difference_io io({volume_id{1}, snapshot_number{3}, snapshot_number{5}, chunks * chunk - 1000},
                           chunk, client);
  client.differences = {{0, {{chunk_no{2}, 3, false}, {chunk_no{5}, 1, true}}, chunk_no{10}, false},
                        {0, {{chunk_no{599}, 1, false}}, chunk_no{}, true}};
  CHECK(known(io.extents(0, chunks * chunk - 1000, false)) ==
        list{{0, 2 * chunk, 1}, {2 * chunk, 3 * chunk, 0}, {5 * chunk, chunk, 2}, {6 * chunk, 4 * chunk, 1}});
  CHECK(known(io.extents(0, 100 * chunk, true)) == list{{0, 2 * chunk, 1}});
  CHECK(known(io.extents(3 * chunk + 5, 10, false)) == list{{3 * chunk + 5, 10, 0}});
  CHECK(client.asked == std::vector<std::uint64_t>{0});
  CHECK(known(io.extents(598 * chunk, 2 * chunk - 1000, false)) ==
        list{{598 * chunk, chunk, 1}, {599 * chunk, chunk - 1000, 0}});
  CHECK(client.asked == std::vector<std::uint64_t>{0, 598});
}

TEST_CASE("difference_io: a snapshot does not differ from itself") {
  scripted_client client;
  plugin::difference_io io({volume_id{1}, snapshot_number{5}, snapshot_number{5}, chunks * chunk}, chunk,
                           client);
  CHECK(known(io.extents(7, 99, false)) == list{{7, 99, 1}});
  CHECK(client.asked.empty());
}

TEST_CASE("difference_io: an answer that makes no sense is an error") {
  scripted_client client;
  plugin::difference_io io({volume_id{1}, snapshot_number{3}, snapshot_number{5}, chunks * chunk}, chunk,
                           client);
  const auto ask = [&](wire::diff_reply answer) {
    client.differences = {std::move(answer)};
    return io.extents(4 * chunk, 10, false).error().code;
  };
  CHECK(ask({0, {}, chunk_no{4}, false}) == errc::corrupt);                         // no progress
  CHECK(ask({0, {{chunk_no{3}, 1, false}}, chunk_no{9}, false}) == errc::corrupt);  // before what was asked
  CHECK(ask({0, {{chunk_no{5}, 0, false}}, chunk_no{9}, false}) == errc::corrupt);  // empty
  CHECK(ask({0, {{chunk_no{5}, 9, false}}, chunk_no{9}, false}) == errc::corrupt);  // too long
  CHECK(ask({0, {{chunk_no{5}, ~std::uint64_t{0}, false}}, chunk_no{}, true}) == errc::corrupt);
  CHECK(ask({0, {{chunk_no{6}, 2, false}, {chunk_no{7}, 1, false}}, chunk_no{9}, false}) == errc::corrupt);
}
