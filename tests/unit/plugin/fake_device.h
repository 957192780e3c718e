// SPDX-License-Identifier: BSD-3-Clause
//
// A device in memory for many threads, which takes some time for each call, counts, fails on demand, and
// knows what is durable: what was written before the last flush.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/base/check.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace csnap::test {

class fake_device final : public block_device {
 public:
  explicit fake_device(std::uint64_t size, std::chrono::microseconds delay = {})
      : delay_(delay), bytes_(size), durable_(size) {}

  std::atomic<unsigned> reads{0}, writes{0}, flushes{0};
  std::atomic<bool> fail_reads{false}, fail_writes{false}, fail_flushes{false};
  std::function<void(std::uint64_t offset, std::uint64_t length)> before_write;  // set before threads start
  std::function<void()> after_read;                                              // the same

  std::uint64_t size_bytes() const override { return bytes_.size(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    ++reads;
    std::this_thread::sleep_for(delay_);
    if (fail_reads) return fail(errc::io, "read failed");
    {
      const std::lock_guard lock(mutex_);
      check(offset + into.size() <= bytes_.size(), "read out of bounds");
      std::memcpy(into.data(), bytes_.data() + offset, into.size());
    }
    if (after_read) after_read();
    return {};
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    ++writes;
    if (before_write) before_write(offset, from.size());
    std::this_thread::sleep_for(delay_);
    if (fail_writes) return fail(errc::io, "write failed");
    const std::lock_guard lock(mutex_);
    check(offset + from.size() <= bytes_.size(), "write out of bounds");
    std::memcpy(bytes_.data() + offset, from.data(), from.size());
    if (how == durability::durable) std::memcpy(durable_.data() + offset, from.data(), from.size());
    return {};
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability how) override {
    return write(offset, std::vector<std::byte>(length), how);
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override {
    return write(offset, std::vector<std::byte>(length), durability::cached);
  }
  result<> flush() override {
    ++flushes;
    const std::unique_lock lock(mutex_);
    if (fail_flushes) return fail(errc::io, "flush failed");
    durable_ = bytes_;
    return {};
  }

  std::vector<std::byte> content() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::vector<std::byte> durable(std::uint64_t offset, std::uint64_t length) {
    const std::lock_guard lock(mutex_);
    const auto begin = durable_.begin() + static_cast<std::ptrdiff_t>(offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
  }
  void fill(std::uint64_t offset, std::uint64_t length, unsigned char value) {
    const std::lock_guard lock(mutex_);
    std::memset(bytes_.data() + offset, value, length);
  }

 private:
  const std::chrono::microseconds delay_;
  std::mutex mutex_;
  std::vector<std::byte> bytes_, durable_;
};

}  // namespace csnap::test
