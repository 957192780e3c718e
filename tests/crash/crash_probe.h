// SPDX-License-Identifier: BSD-3-Clause
//
// A device that calls `before_write` ahead of each write, so that a test can ask: what if the power went now?
#pragma once

#include "tests/support/memory_device.h"

#include <functional>

namespace csnap::test {

class crash_probe : public block_device {
 public:
  crash_probe(memory_device &inner, std::function<void()> before_write)
      : inner_(inner), before_write_(std::move(before_write)) {}

  std::uint64_t size_bytes() const override { return inner_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return inner_.read(offset, into);
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    before_write_();
    return inner_.write(offset, from, how);
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) override {
    before_write_();
    return inner_.zero(offset, length, may_unmap, how);
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override { return inner_.trim(offset, length); }
  result<> flush() override {
    before_write_();
    return inner_.flush();
  }

 private:
  memory_device &inner_;
  std::function<void()> before_write_;
};

}  // namespace csnap::test
