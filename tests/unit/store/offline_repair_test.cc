// SPDX-License-Identifier: BSD-3-Clause
//
// Repair makes whatever is written twice whole again, from the other copy, and touches nothing else.
#include "tests/unit/store/offline_sample.h"

#include "metaserver/store/disk_format.h"

namespace csnap::test {

using namespace store;

namespace {

std::unique_ptr<sample_device> served_sample() {
  auto device = formatted_sample();
  auto e = engine::take_over(*device, {});
  REQUIRE(e);
  fill_sample(**e);
  checkpoint_sample(**e, *device);
  return device;
}

void damage(sample_device &device, std::uint64_t block) {
  device.content[block * block_bytes + 200] ^= std::byte{1};
}

}  // namespace

TEST_CASE("repair: each copy of superblocks and slots is written anew from the other") {
  const auto whole = served_sample();
  const geometry shape = read_label(*whole)->shape;
  const std::uint64_t slots = shape.slots_offset_bytes / block_bytes;
  std::vector<std::uint64_t> blocks{0, 1};
  for (std::uint64_t b = 0; b < shape.node_count * blocks_per_slot; ++b) blocks.push_back(slots + b);
  for (const std::uint64_t block : blocks) {
    INFO("block " << block);
    sample_device device(sample_bytes);
    device.content = whole->content;
    damage(device, block);
    const auto report = repair_store(device);
    REQUIRE(report);
    REQUIRE(report->repaired.size() == 1);
    CHECK(report->damaged.empty());
    CHECK(report->repaired[0].find("block " + std::to_string(block) + ": ") == 0);
    CHECK(report->repaired[0].find("expected") != std::string::npos);
    CHECK((device.content == whole->content));
    CHECK(check_store(device).notes.empty());
  }
}

TEST_CASE("repair: a slot whose second block was not reached is finished") {
  const auto device = served_sample();
  const geometry shape = read_label(*device)->shape;
  auto e = engine::take_over(*device, {});
  REQUIRE(e);
  // Of the last write of the root only the first block arrived.
  const auto before = device->content;
  checkpoint_sample(**e, *device);
  const auto after = device->content;
  const auto slots = static_cast<std::ptrdiff_t>(shape.slots_offset_bytes);
  for (const std::ptrdiff_t mirror : {1, 3}) {
    const auto at = slots + mirror * static_cast<std::ptrdiff_t>(block_bytes);
    std::copy_n(before.begin() + at, block_bytes, device->content.begin() + at);
  }
  const auto report = repair_store(*device);
  REQUIRE(report);
  CHECK(report->repaired.size() == 1);
  CHECK((device->content == after));
  CHECK(check_store(*device).ok());
}

TEST_CASE("repair: guesses nothing") {
  auto device = served_sample();
  const geometry shape = read_label(*device)->shape;
  const std::uint64_t slots = shape.slots_offset_bytes / block_bytes;
  CHECK(repair_store(*device)->repaired.empty());
  // Both blocks of a pair, a page, a log block: left as they are.
  damage(*device, slots);
  damage(*device, slots + 1);
  damage(*device, shape.pages_offset_bytes / block_bytes);
  const auto before = device->content;
  const auto report = repair_store(*device);
  REQUIRE(report);
  CHECK(report->repaired.empty());
  CHECK(report->damaged.size() == 1);
  CHECK((device->content == before));
  CHECK_FALSE(check_store(*device).ok());

  device = served_sample();
  damage(*device, 0);
  damage(*device, 1);
  CHECK(repair_store(*device).error().code == errc::corrupt);
  sample_device empty(1 << 20);
  CHECK(repair_store(empty).error().code == errc::not_found);
}

TEST_CASE("repair: the data device's superblocks") {
  sample_device data(8 << 20), metadata(8 << 20);
  REQUIRE(format_store(data, &metadata, sample_request()));
  const auto before = data.content;
  damage(data, 1);
  CHECK(repair_store(data)->repaired.size() == 1);
  CHECK((data.content == before));
}

}  // namespace csnap::test
