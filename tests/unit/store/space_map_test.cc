// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/space_map.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/page_space.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::store;

TEST_CASE("space map: a run is found across words and bounds are kept", "[store]") {
  space_map map(300);
  for (std::uint64_t i = 0; i < 300; ++i)
    if (i < 60 || (i >= 70 && i < 120)) map.take(i);
  auto run = map.find_run(0, 300, 20, 1000);
  CHECK(run.first == 120);
  CHECK(run.count == 20);
  run = map.find_run(0, 115, 20, 1000);
  CHECK(run.first == 60);
  CHECK(run.count == 10);
  run = map.find_run(70, 120, 1, 1000);
  CHECK(run.count == 0);
  run = map.find_run(0, 300, 1000, 1000);
  CHECK(run.first == 120);
  CHECK(run.count == 180);
}

TEST_CASE("space map: blocks load as they were saved", "[store]") {
  space_map map(space_map_bits + 13), copy(space_map_bits + 13);
  for (std::uint64_t i = 0; i < map.unit_count(); i += 7) map.take(i);
  for (std::uint64_t b = 0; b < map.block_count(); ++b)
    REQUIRE(copy.load_block(b, map.payload_of_block(b)).has_value());
  CHECK(copy.busy_count() == map.busy_count());
  for (std::uint64_t i = 0; i < map.unit_count(); ++i) REQUIRE(copy.is_busy(i) == map.is_busy(i));
  std::vector<std::byte> beyond(2, std::byte{0xff});
  CHECK_FALSE(copy.load_block(1, beyond).has_value());
}

TEST_CASE("page space: a freed page is given out again only after the next checkpoint", "[store]") {
  geometry shape;
  shape.pages_offset_bytes = 4 * block_bytes;
  shape.page_count = 256;
  page_space space(shape);
  area_set one{};
  one[0] = std::byte{3};  // two areas of one page each
  space.begin(one, 5, {1, 0});
  const auto first = space.allocate();
  REQUIRE(first.has_value());
  REQUIRE(space.allocate().has_value());
  CHECK_FALSE(space.allocate().has_value());
  space.checkpoint_taken();
  space.checkpoint_done();
  space.free(*first);
  CHECK_FALSE(space.allocate().has_value());
  space.checkpoint_taken();
  CHECK_FALSE(space.allocate().has_value());
  space.checkpoint_done();
  const auto again = space.allocate();
  REQUIRE(again.has_value());
  CHECK(again->block == first->block);
  CHECK(again->generation == 7);
}

TEST_CASE("page space: who is not proved dead keeps its areas", "[store]") {
  std::vector<slot> slots(2);
  slots[1].node = 1;
  slots[0].claimed_areas = choose_areas(slots, 0);
  slots[1].claimed_areas = choose_areas(slots, 1);
  for (std::uint64_t a = 0; a < area_count; ++a)
    CHECK_FALSE((has_area(slots[0].claimed_areas, a) && has_area(slots[1].claimed_areas, a)));
  CHECK(area_count_of(slots[0].claimed_areas) == 128);
  CHECK(area_count_of(slots[1].claimed_areas) == 64);
  CHECK(choose_areas(slots, 0) == slots[0].claimed_areas);
  CHECK(choose_areas(slots, 1) == slots[1].claimed_areas);
}

TEST_CASE("page space: proof ends claims, and leaves a quarter for a successor", "[store]") {
  std::vector<slot> slots(3);
  for (std::uint32_t node = 0; node < 3; ++node) slots[node].node = node;
  slots[0].term = {1, 0};
  slots[0].claimed_areas = choose_areas(slots, 0);  // 128, and 128 are left
  slots[1].term = {2, 1};
  slots[1].claimed_areas = choose_areas(slots, 1);  // 64, and 64 are left
  slots[1].claimed_areas = areas_after_proof(slots, slots[1].claimed_areas);
  slots[1].dead_below = slots[1].term;
  CHECK(area_count_of(slots[1].claimed_areas) == 192);
  // The old claim of node 0 is void, though it is still written in its slot.
  const area_set next = choose_areas(slots, 2);
  CHECK(area_count_of(next) == 32);
  CHECK(choose_areas(slots, 0) == next);
  slots[2].term = {3, 2};
  slots[2].claimed_areas = next;
  const area_set proven = areas_after_proof(slots, next);
  CHECK(area_count_of(proven) == 192);
  for (std::uint64_t a = 0; a < area_count; ++a)
    if (has_area(next, a)) CHECK(has_area(proven, a));
}
