// SPDX-License-Identifier: BSD-3-Clause
#include "write_fixture.h"

#include <catch2/catch.hpp>

#include <random>

using namespace csnap;
using namespace csnap::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t chunk = write_fixture::chunk;

// Has a size and no content.
class vast_device final : public block_device {
 public:
  std::atomic<std::uint64_t> zeroed{0};
  std::function<void()> on_zero;
  std::uint64_t size_bytes() const override { return std::uint64_t{1} << 40; }
  result<> read(std::uint64_t, std::span<std::byte> into) override {
    std::memset(into.data(), 0, into.size());
    return {};
  }
  result<> write(std::uint64_t, std::span<const std::byte>, durability) override { return {}; }
  result<> zero(std::uint64_t, std::uint64_t length, bool, durability) override {
    zeroed += length;
    if (on_zero) on_zero();
    return {};
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override {
    return zero(offset, length, true, durability::cached);
  }
  result<> flush() override { return {}; }
};

}  // namespace

TEST_CASE("origin_io: a zero of almost 4 GiB goes in pieces of bounded size, and ends with nbdkit") {
  write_fixture f(chunk);  // an epoch whose chunks 1.. were never in the image: only counting here
  vast_device vast;
  constexpr std::uint32_t large_chunk = 1u << 20;
  plugin::origin_io io(volume_id{1}, vast, large_chunk, *f.copies, *f.client,
                       std::make_shared<client::write_pass>(vast.size_bytes() / large_chunk),
                       {.skip_copy_out = true});
  constexpr std::uint64_t length = 0xffffffff;
  SECTION("to the end") {
    REQUIRE(io.zero(512, length, true, durability::cached).has_value());
    CHECK(vast.zeroed == length);
    CHECK(f.client->longest_write == 64u);
  }
  SECTION("interrupted") {
    vast.on_zero = [&] { f.client->stop = true; };
    CHECK(io.trim(0, length, durability::cached).error().code == errc::shutting_down);
    CHECK(vast.zeroed == 64u * large_chunk);
  }
}

TEST_CASE("origin_io: a write that is sent back again and again goes on chunk by chunk") {
  write_fixture f(8 * chunk);
  f.client->never_admit_together = 1000;
  REQUIRE(f.write(100, 8 * chunk - 200, 0xee).has_value());
  CHECK(f.client->never_admit_together > 900);
  CHECK(f.origin.content()[8 * chunk - 101] == std::byte{0xee});
  CHECK(f.origin.content()[8 * chunk - 100] != std::byte{0xee});
  CHECK(f.is_intact(1));
}

TEST_CASE("origin_io: FUA makes a write, a zero and a trim durable") {
  write_fixture f(4 * chunk);
  const auto nothing = std::vector<std::byte>(100);
  SECTION("write") { REQUIRE(f.io->write(0, nothing, durability::durable).has_value()); }
  SECTION("zero") { REQUIRE(f.io->zero(0, 100, false, durability::durable).has_value()); }
  SECTION("trim") { REQUIRE(f.io->trim(0, 100, durability::durable).has_value()); }
  CHECK(f.origin.durable(0, 100) == nothing);
}

TEST_CASE("origin_io: without FUA nothing is flushed on the origin") {
  write_fixture f(4 * chunk);
  REQUIRE(f.io->trim(0, 100, durability::cached).has_value());
  REQUIRE(f.write(0, 100, 1).has_value());
  CHECK(f.origin.flushes == 0u);
}

// Goal: whatever writers and snapshots do at the same time, every snapshot reads for ever what the origin
// held when it was made. Method: eight threads write at random, the main thread makes snapshots; the fake
// client holds each commit against the image of its epoch, and at the end all snapshots are read through the
// exceptions.
TEST_CASE("origin_io: snapshots made under random writes are all intact") {
  const unsigned seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 20261122u;
  INFO("seed " << seed);
  constexpr std::uint64_t chunks = 150;
  write_fixture f(chunks * chunk + 1024, {}, 20us);
  std::atomic<bool> ended{false};
  std::atomic<unsigned> failed{0};
  {
    std::vector<std::jthread> writers;
    for (unsigned t = 0; t < 8; ++t)
      writers.emplace_back([&, t] {
        std::mt19937 random(seed + t);
        while (!ended) {
          const std::uint64_t size = 1 + random() % (random() % 8 == 0 ? 80 * chunk : chunk);
          const std::uint64_t offset = random() % (f.origin.size_bytes() - size + 1);
          const auto value = static_cast<unsigned char>(random());
          const bool zero = random() % 4 == 0;
          const auto outcome =
              zero ? f.io->zero(offset, size, true, durability::cached) : f.write(offset, size, value);
          if (!outcome) ++failed;
        }
      });
    for (int i = 0; i < 40; ++i) {
      std::this_thread::sleep_for(10ms);
      f.client->snapshot();
    }
    ended = true;
  }
  CHECK(failed == 0u);
  CHECK(f.client->wrong_copies == 0u);
  for (std::uint64_t number = 1; number <= 41; ++number) {
    INFO("snapshot " << number);
    CHECK(f.is_intact(number));
  }
}
