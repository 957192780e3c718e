// SPDX-License-Identifier: BSD-3-Clause
//
// A device that calls `before_write` ahead of each write and flush, so that a test can ask: what if the power
// went now, or while this write was under way? A flush is told as a write of nothing.
#pragma once

#include "tests/support/memory_device.h"

#include <functional>

namespace csnap::test {

class crash_probe : public block_device {
 public:
  using observer = std::function<void(std::uint64_t offset_bytes, std::span<const std::byte> bytes)>;
  crash_probe(memory_device &inner, observer before_write)
      : inner_(inner), before_write_(std::move(before_write)) {}

  std::uint64_t size_bytes() const override { return inner_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return inner_.read(offset, into);
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    before_write_(offset, from);
    return inner_.write(offset, from, how);
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability how) override {
    return write(offset, std::vector<std::byte>(length), how);
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override { return inner_.trim(offset, length); }
  result<> flush() override {
    before_write_(0, {});
    return inner_.flush();
  }

 private:
  memory_device &inner_;
  observer before_write_;
};

}  // namespace csnap::test
