// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/aligned_device.h"
#include "metaserver/device/flush_queue.h"
#include "tests/unit/device/device_checks.h"

#include <mutex>

namespace csnap::test {

namespace {

// A disk in memory that fails what is not whole aligned blocks in aligned buffers, and that takes its time,
// so that requests overlap.
class strict_disk final : public opened_device {
 public:
  explicit strict_disk(std::size_t size) : content_(size) {}
  std::uint64_t size_bytes() const override { return content_.size(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    if (!fits(offset, into.size(), into.data())) return fail(errc::io, "unaligned read");
    pause();
    std::lock_guard lock(mutex_);
    std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability) override {
    if (!fits(offset, from.size(), from.data())) return fail(errc::io, "unaligned write");
    pause();
    std::lock_guard lock(mutex_);
    std::memcpy(content_.data() + offset, from.data(), from.size());
    return {};
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability) override {
    if (!fits(offset, length, nullptr)) return fail(errc::io, "unaligned zero");
    std::lock_guard lock(mutex_);
    std::memset(content_.data() + offset, 0, length);
    return {};
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override {
    return zero(offset, length, true, durability::cached);
  }
  result<> flush() override { return {}; }
  bool io_ends_with_process() const override { return true; }

 private:
  static bool fits(std::uint64_t offset, std::uint64_t length, const void *address) {
    return ((offset | length | reinterpret_cast<std::uintptr_t>(address)) & 511) == 0;
  }
  static void pause() { std::this_thread::yield(); }
  std::mutex mutex_;
  bytes content_;
};

}  // namespace

TEST_CASE("aligned device: any range and buffer works on a disk that takes whole blocks only") {
  aligned_device device(std::make_unique<strict_disk>(1 << 18), {512, 512});
  check_against_copy(device, 7);
  check_refuses_what_is_outside(device);
}

TEST_CASE("aligned device: requests longer than one bounce buffer are carried out whole") {
  aligned_device device(std::make_unique<strict_disk>(5 << 20), {512, 512});
  const bytes data = pattern((4 << 20) + 77, 3);
  REQUIRE(device.write(301, data, durability::cached));
  bytes back(data.size());
  REQUIRE(device.read(301, back));
  CHECK(back == data);
}

TEST_CASE("aligned device: writers of parts of one block do not undo each other") {
  aligned_device device(std::make_unique<strict_disk>(1 << 16), {512, 512});
  check_concurrent_neighbours(device);
}

TEST_CASE("aligned device: a write of a whole block is not undone by a part of it written beside it") {
  aligned_device device(std::make_unique<strict_disk>(4096), {512, 512});
  std::atomic<bool> stop{false};
  std::thread partial([&] {
    const bytes part = pattern(10, 1);
    while (!stop)
      if (!device.write(100, part, durability::cached)) std::abort();
  });
  unsigned wrong = 0;
  for (unsigned round = 0; round < 3000; ++round) {
    const bytes block(512, static_cast<std::byte>(round));
    bytes back(512);
    if (!device.write(0, block, durability::cached) || !device.read(0, back)) ++wrong;
    wrong += back[0] != block[0] || back[511] != block[511];
  }
  stop = true;
  partial.join();
  CHECK(wrong == 0);
}

TEST_CASE("flush queue: one failure is for good") {
  flush_queue queue;
  CHECK(queue.flush([]() -> result<> { return {}; }));
  CHECK_FALSE(queue.flush([]() -> result<> { return fail(errc::io, "lost"); }));
  const auto later = queue.flush([]() -> result<> { return {}; });
  REQUIRE_FALSE(later);
  CHECK(later.error().text == "lost");
}

TEST_CASE("flush queue: a flush that was already running when we came does not count for us") {
  flush_queue queue;
  std::atomic<unsigned> runs{0}, running{0}, overlaps{0};
  const auto slow = [&]() -> result<> {
    if (++running > 1) ++overlaps;
    ++runs;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    --running;
    return {};
  };
  std::thread first([&] { (void)queue.flush(slow).has_value(); });
  while (runs == 0) std::this_thread::yield();
  std::vector<std::thread> late;
  for (int i = 0; i < 8; ++i) late.emplace_back([&] { (void)queue.flush(slow).has_value(); });
  for (auto &t : late) t.join();
  first.join();
  CHECK(overlaps == 0);
  CHECK(runs >= 2);  // not 1: the running one may have missed what the late ones wrote
  CHECK(runs <= 4);  // not 9: those who wait share
}

}  // namespace csnap::test
