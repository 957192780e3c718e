// SPDX-License-Identifier: BSD-3-Clause
//
// What another host does to a shared device while one of ours is in the middle of something: calls `meddle` once,
// just before a write or a flush of ours.
#pragma once

#include "metaserver/base/block_device.h"

#include <functional>
#include <utility>

namespace csnap::test {

class meddling_device final : public block_device {
 public:
  explicit meddling_device(block_device &shared) : shared_(shared) {}

  // n-th from now on, from 1.
  void before_write(int n, std::function<void()> meddle) { writes_ = n, meddle_ = std::move(meddle); }
  void before_flush(int n, std::function<void()> meddle) { flushes_ = n, meddle_ = std::move(meddle); }

  std::uint64_t size_bytes() const override { return shared_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return shared_.read(offset, into);
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    if (--writes_ == 0) meddle_();
    return shared_.write(offset, from, how);
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) override {
    return shared_.zero(offset, length, may_unmap, how);
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override { return shared_.trim(offset, length); }
  result<> flush() override {
    if (--flushes_ == 0) meddle_();
    return shared_.flush();
  }

 private:
  block_device &shared_;
  int writes_ = 0, flushes_ = 0;
  std::function<void()> meddle_;
};

}  // namespace csnap::test
