// SPDX-License-Identifier: BSD-3-Clause
#include "write_fixture.h"

#include <catch2/catch.hpp>

#include <latch>

using namespace csnap;
using namespace csnap::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t chunk = write_fixture::chunk;

// `count` threads, each runs `f(i)`, all at once.
void at_once(std::size_t count, const std::function<void(std::size_t)> &f) {
  std::latch start(static_cast<std::ptrdiff_t>(count));
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&, i] { start.arrive_and_wait(), f(i); });
}

}  // namespace

TEST_CASE("copy_out: a first write preserves the chunk, the second one costs nothing") {
  write_fixture f(8 * chunk);
  REQUIRE(f.write(2 * chunk + 100, 50, 0xee).has_value());
  CHECK(f.is_intact(1));
  CHECK(f.client->wrong_copies == 0u);
  CHECK(f.client->commits == 1u);
  CHECK(f.store_device.flushes == 1u);
  REQUIRE(f.write(2 * chunk + 200, 50, 0xef).has_value());
  CHECK(f.client->commits == 1u);
  CHECK(f.origin.content()[2 * chunk + 200] == std::byte{0xef});
}

TEST_CASE("copy_out: one write over many chunks is one read, one store write, one flush, one commit") {
  write_fixture f(64 * chunk);
  REQUIRE(f.write(10, 64 * chunk - 20, 0xee).has_value());
  CHECK(f.origin.reads == 1u);
  CHECK(f.store_device.writes == 1u);
  CHECK(f.store_device.flushes == 1u);
  CHECK(f.client->commits == 1u);
  CHECK(f.client->entries == 64u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: sixteen writers share batches") {
  constexpr std::size_t writers = 16, each = 12;
  write_fixture f(writers * each * chunk, {}, 300us);
  at_once(writers, [&](std::size_t i) {
    for (std::size_t k = 0; k < each; ++k) check(f.write((k * writers + i) * chunk, 512, 0xee).has_value());
  });
  constexpr double n = writers * each;
  const double requests = f.origin.reads + f.origin.writes + f.store_device.writes;
  INFO("requests per write " << requests / n << ", flushes " << f.store_device.flushes);
  CHECK(f.origin.reads == n);
  CHECK(requests <= 2.3 * n);
  CHECK(f.store_device.flushes == f.client->commits);
  CHECK(f.client->commits * 4 <= n);
  CHECK(f.client->wrong_copies == 0u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: writers of one chunk share one copy") {
  write_fixture f(4 * chunk, {}, 2000us);
  at_once(8, [&](std::size_t i) { check(f.write(chunk + i * 10, 10, 0xee).has_value()); });
  // A writer that was told "shared" just before the commit and came just after it copies in vain; not more.
  CHECK(f.client->entries <= 2u);
  CHECK(f.client->wrong_copies == 0u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: zero chunks are recorded, not stored, and leave no gap in the store") {
  write_fixture f(6 * chunk);
  f.origin.fill(chunk, 2 * chunk, 0);
  f.client->snapshot();
  REQUIRE(f.write(0, 6 * chunk, 0xee).has_value());
  CHECK(f.client->zero_entries == 2u);
  CHECK(f.client->entries == 6u);
  CHECK(f.store_device.writes == 1u);
  CHECK(f.client->wrong_copies == 0u);
  CHECK(f.is_intact(2));
}

TEST_CASE("copy_out: a chunk that is all zero but for its last byte is stored") {
  write_fixture f(chunk);
  f.origin.fill(0, chunk - 1, 0);
  f.client->snapshot();
  REQUIRE(f.write(0, 10, 0xee).has_value());
  CHECK(f.client->zero_entries == 0u);
  CHECK(f.is_intact(2));
}

TEST_CASE("copy_out: the last chunk of a device may be short") {
  write_fixture f(3 * chunk + 512);
  REQUIRE(f.write(3 * chunk + 500, 12, 0xee).has_value());
  CHECK(f.client->wrong_copies == 0u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: store chunks with gaps between them take a write each") {
  write_fixture f(8 * chunk);
  f.client->contiguous = 3;
  REQUIRE(f.write(0, 8 * chunk, 0xee).has_value());
  CHECK(f.store_device.writes == 3u);
  CHECK(f.store_device.flushes == 1u);
  CHECK(f.client->wrong_copies == 0u);
}

TEST_CASE("copy_out: a copy that cannot be read or written fails the write and leaves the snapshot intact") {
  write_fixture f(4 * chunk);
  const auto before = f.origin.content();
  SECTION("read") {
    f.origin.fail_reads = true;
    CHECK(f.write(0, 4 * chunk, 0xee).error().code == errc::io);
    f.origin.fail_reads = false;
  }
  SECTION("write") {
    f.store_device.fail_writes = true;
    CHECK(f.write(0, 4 * chunk, 0xee).error().code == errc::io);
    CHECK(f.client->returned == 4u);
    f.store_device.fail_writes = false;
  }
  CHECK(f.origin.content() == before);
  CHECK(f.client->entries == 0u);
  // Not a lasting state: the next write may succeed.
  REQUIRE(f.write(0, 4 * chunk, 0xee).has_value());
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: a failed store flush is for good, also for other volumes") {
  write_fixture f(4 * chunk);
  plugin::copy_out other(volume_id{1}, 4 * chunk, f.origin, f.store, *f.client);
  f.store_device.fail_flushes = true;
  CHECK(f.write(0, 10, 0xee).error().code == errc::io);
  f.store_device.fail_flushes = false;
  CHECK(f.write(0, 10, 0xee).error().code == errc::io);
  const chunk_no second{1};
  CHECK(other.run(std::span(&second, 1), f.client->epoch()).error().code == errc::io);
  CHECK(f.client->entries == 0u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: a full store fails what has no place, with no_space, and copies the rest") {
  write_fixture f(8 * chunk);
  f.client->pool_left = 3;
  CHECK(f.write(0, 8 * chunk, 0xee).error().code == errc::no_space);
  CHECK(f.client->entries == 3u);
  CHECK(f.is_intact(1));
  REQUIRE(f.write(0, 3 * chunk, 0xee).has_value());
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: a stale epoch makes the write begin anew") {
  write_fixture f(4 * chunk);
  f.client->stale_answers = 2;
  REQUIRE(f.write(0, 4 * chunk, 0xee).has_value());
  CHECK(f.client->commits == 3u);
  CHECK(f.is_intact(1));
}

TEST_CASE("copy_out: a writer that waits ends when nbdkit does") {
  write_fixture f(200 * chunk, {}, 500ms);
  f.client->stop = true;
  CHECK(f.write(0, 10, 0xee).error().code == errc::shutting_down);
}

TEST_CASE("copy_out: planted mistakes are found by these tests' own checks") {
  plugin::planted_mistakes planted;
  SECTION("no flush before the commit") { planted.no_flush_before_commit = true; }
  SECTION("copy errors ignored") { planted.ignore_copy_error = true; }
  SECTION("no copy at all") { planted.skip_copy_out = true; }
  write_fixture f(4 * chunk, planted);
  if (planted.ignore_copy_error) f.store_device.fail_writes = true;
  (void)f.write(0, 2 * chunk, 0xee);
  CHECK_FALSE((f.client->wrong_copies == 0u && f.is_intact(1)));
}
