// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/reservation_pool.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::client {

namespace {
constexpr std::int64_t hold_after_refusal_ms = 100;
constexpr boottime_ms not_held{INT64_MAX};
}  // namespace

reservation_pool::reservation_pool(std::uint32_t reserve_chunks)
    : reserve_chunks_(std::clamp<std::uint32_t>(reserve_chunks, 1, wire::reserve_chunks_max)) {}

void reservation_pool::take_from(std::map<std::uint64_t, run>::iterator at, std::uint64_t count,
                                 std::vector<reserved_chunk> &out) {
  const std::uint64_t first = at->first;
  const run whole = at->second;
  const std::uint64_t taken = std::min(count, whole.count);
  for (std::uint64_t i = 0; i < taken; ++i) out.push_back({whole.reservation, store_chunk{first + i}});
  free_.erase(at);
  if (taken < whole.count) free_.emplace(first + taken, run{whole.count - taken, whole.reservation});
  free_count_ -= taken;
}

std::vector<reserved_chunk> reservation_pool::take(std::uint32_t wanted) {
  std::vector<reserved_chunk> out;
  const auto fits =
      std::find_if(free_.begin(), free_.end(), [&](const auto &r) { return r.second.count >= wanted; });
  if (fits != free_.end()) {
    take_from(fits, wanted, out);
    return out;
  }
  while (out.size() < wanted && !free_.empty()) take_from(free_.begin(), wanted - out.size(), out);
  return out;
}

std::uint32_t reservation_pool::ask(std::uint32_t wanted) {
  if (asked_ || held_until_ != not_held) return 0;
  if (free_count_ >= wanted && free_count_ >= reserve_chunks_ / 2) return 0;
  asked_ = true;
  return std::clamp<std::uint32_t>(wanted, reserve_chunks_, wire::reserve_chunks_max);
}

bool reservation_pool::take_no_space() { return std::exchange(no_space_, false); }

bool reservation_pool::granted(const wire::reserved &r) {
  const auto next = free_.lower_bound(r.first.value);
  if (next != free_.end() && next->first < r.first.value + r.count) return false;
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.count > r.first.value) return false;
  }
  asked_ = false;
  no_space_ = false;
  newest_ = std::max(newest_, r.id);
  live_[r.id] += r.count;
  insert(r.first.value, run{r.count, r.id});
  return true;
}

void reservation_pool::refused(errc why, boottime_ms now) {
  asked_ = false;
  if (why == errc::no_space) no_space_ = true;
  held_until_ = boottime_ms{now.value + hold_after_refusal_ms};
}

bool reservation_pool::tick(boottime_ms now) {
  if (now < held_until_) return false;
  held_until_ = not_held;
  return true;
}

void reservation_pool::put_back(std::span<const reserved_chunk> chunks) {
  for (const reserved_chunk &c : chunks)
    if (live_.contains(c.reservation)) insert(c.place.value, run{1, c.reservation});
}

void reservation_pool::insert(std::uint64_t first, run r) {
  free_count_ += r.count;
  auto next = free_.lower_bound(first);
  check(next == free_.end() || first + r.count <= next->first, "a store chunk was given back twice");
  if (next != free_.end() && next->first == first + r.count && next->second.reservation == r.reservation) {
    r.count += next->second.count;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    check(before->first + before->second.count <= first, "a store chunk was given back twice");
    if (before->first + before->second.count == first && before->second.reservation == r.reservation) {
      before->second.count += r.count;
      return;
    }
  }
  free_.emplace_hint(next, first, r);
}

void reservation_pool::forget(reservation_id reservation) {
  const auto found = live_.find(reservation);
  if (found != live_.end() && --found->second == 0) live_.erase(found);
}

void reservation_pool::reset() {
  free_.clear();
  free_count_ = 0;
  live_.clear();
  asked_ = no_space_ = false;
  newest_ = reservation_id{};
  held_until_ = not_held;
}

}  // namespace csnap::client
