// SPDX-License-Identifier: BSD-3-Clause
//
// Tools of the crash enumeration: a device that notes what reaches it, an image of a device of which only what
// differs from a common base is kept, and all the images that a power cut during those notes can leave.
#pragma once

#include "tests/support/memory_device.h"

#include <map>
#include <memory>
#include <vector>

namespace csnap::test {

using sector = std::vector<std::byte>;

// The base is shared and never changes; writes go beside it and are durable at once.
class sector_image final : public block_device {
 public:
  explicit sector_image(std::shared_ptr<const std::vector<std::byte>> base) : base_(std::move(base)) {}

  std::uint64_t size_bytes() const override { return base_->size(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override;
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability) override;
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability how) override {
    return write(offset, std::vector<std::byte>(length), how);
  }
  result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  result<> flush() override { return {}; }

  std::span<const std::byte> at(std::uint64_t sector_number) const;
  void put(std::uint64_t sector_number, std::span<const std::byte> bytes);

 private:
  std::shared_ptr<const std::vector<std::byte>> base_;
  std::map<std::uint64_t, sector> changed_;
};

// One thing that reached a device; no bytes: a flush.
struct device_event {
  std::uint64_t offset_bytes{};
  std::vector<std::byte> bytes;
  durability how{};
  bool is_flush() const { return bytes.empty(); }
};

// Notes every write and flush before it does it.
class event_recorder final : public block_device {
 public:
  explicit event_recorder(block_device &inner) : inner_(inner) {}
  std::uint64_t size_bytes() const override { return inner_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return inner_.read(offset, into);
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    events.push_back({offset, {from.begin(), from.end()}, how});
    return inner_.write(offset, from, how);
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool, durability how) override {
    return write(offset, std::vector<std::byte>(length), how);
  }
  result<> trim(std::uint64_t offset, std::uint64_t length) override { return inner_.trim(offset, length); }
  result<> flush() override {
    events.push_back({0, {}, durability::durable});
    return inner_.flush();
  }

  std::vector<device_event> events;

 private:
  block_device &inner_;
};

struct crash_limits {
  std::size_t all_below_sectors = 10;  // every subset, if no more sectors than this are undecided
  std::size_t samples = 24;            // else so many, beside "all" and "none"
};

// Calls `visit(image, event)` with every image that a power cut can leave while event number `event` is under
// way (events.size(): after all of them). Each undecided sector has its durable content or that of any write
// since. Sectors whose content would not differ are no choice.
void enumerate_crashes(const sector_image &before, const std::vector<device_event> &events,
                       const crash_limits &limits, std::mt19937_64 &random,
                       const std::function<void(sector_image &image, std::size_t event)> &visit);

}  // namespace csnap::test
