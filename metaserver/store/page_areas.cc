// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/page_areas.h"

#include <algorithm>
#include <bit>

namespace csnap::store {
namespace {

constexpr std::size_t quarter = area_count / 4;

void add_area(area_set &areas, std::uint64_t area) {
  areas[area / 8] |= static_cast<std::byte>(1u << (area % 8));
}

std::vector<const slot *> slots_that_count(const std::vector<slot> &slots) {
  term_id dead_below;
  for (const slot &s : slots) dead_below = std::max(dead_below, s.dead_below);
  std::vector<const slot *> out;
  for (const slot &s : slots)
    if (s.term >= dead_below) out.push_back(&s);
  return out;
}

bool is_claimed(const std::vector<const slot *> &by, std::uint64_t area) {
  return std::any_of(by.begin(), by.end(), [&](const slot *s) { return has_area(s->claimed_areas, area); });
}

}  // namespace

std::uint64_t first_page_of_area(const geometry &shape, std::uint64_t area) {
  return shape.page_count * area / area_count;
}

bool has_area(const area_set &areas, std::uint64_t area) {
  return (std::to_integer<unsigned>(areas[area / 8]) >> (area % 8)) & 1;
}

std::size_t area_count_of(const area_set &areas) {
  std::size_t count = 0;
  for (const std::byte b : areas)
    count += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(b)));
  return count;
}

area_set choose_areas(const std::vector<slot> &slots, std::uint32_t mine) {
  const auto counting = slots_that_count(slots);
  std::vector<const slot *> others;
  area_set chosen{};
  for (const slot *s : counting) {
    if (s->node == mine) chosen = s->claimed_areas;
    else others.push_back(s);
  }
  std::vector<std::uint64_t> unclaimed;
  for (std::uint64_t area = 0; area < area_count; ++area) {
    // Two claims of one area are nobody's: neither may be sure of it.
    if (is_claimed(others, area)) chosen[area / 8] &= ~static_cast<std::byte>(1u << (area % 8));
    else if (!has_area(chosen, area)) unclaimed.push_back(area);
  }
  if (area_count_of(chosen) < quarter)
    for (std::size_t i = 0; i < (unclaimed.size() + 1) / 2; ++i) add_area(chosen, unclaimed[i]);
  return chosen;
}

bool claims_meet(const std::vector<slot> &slots, std::uint32_t mine) {
  std::vector<const slot *> others = slots_that_count(slots);
  std::erase_if(others, [&](const slot *s) { return s->node == mine; });
  for (std::uint64_t area = 0; area < area_count; ++area)
    if (has_area(slots[mine].claimed_areas, area) && is_claimed(others, area)) return true;
  return false;
}

area_set areas_after_proof(const std::vector<slot> &slots, const area_set &own) {
  const auto counting = slots_that_count(slots);
  area_set chosen = own;
  std::size_t left = 0;
  // What nobody claims stays so first; the rest of the quarter is taken from what the dead had.
  for (std::uint64_t area = 0; area < area_count; ++area)
    if (!has_area(own, area) && !is_claimed(counting, area)) ++left;
  for (std::uint64_t area = 0; area < area_count; ++area) {
    if (has_area(own, area) || !is_claimed(counting, area)) continue;
    if (left < quarter) ++left;
    else add_area(chosen, area);
  }
  return chosen;
}

}  // namespace csnap::store
