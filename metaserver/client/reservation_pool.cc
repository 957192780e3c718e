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
  kept_ = 0;
  const auto fits =
      std::find_if(free_.begin(), free_.end(), [&](const auto &r) { return r.second.count >= wanted; });
  if (fits != free_.end()) {
    take_from(fits, wanted, out);
    return out;
  }
  while (out.size() < wanted && !free_.empty()) take_from(free_.begin(), wanted - out.size(), out);
  return out;
}

std::optional<wire::reserve> reservation_pool::ask(volume_id volume, std::uint32_t wanted, bool is_needed) {
  if (free_count_ >= wanted && free_count_ >= reserve_chunks_ / 2) return std::nullopt;
  question &q = questions_[volume];
  if (q.is_asked || (is_needed ? q.held_until : q.ahead_held_until) != not_held) return std::nullopt;
  q.is_asked = true;
  q.number = ++questions_asked_;
  q.wanted = wanted;
  return wire::reserve{std::clamp<std::uint32_t>(wanted, reserve_chunks_, wire::reserve_chunks_max), newest_,
                       volume, is_needed};
}

bool reservation_pool::is_full_since(volume_id volume, std::uint64_t questions_before) const {
  const auto found = questions_.find(volume);
  return found != questions_.end() && found->second.refused > questions_before;
}

void reservation_pool::forget_asked() {
  for (auto &[volume, q] : questions_) q.is_asked = false;
}

bool reservation_pool::granted(const wire::reserve &asked, const wire::reserved &r) {
  const auto next = free_.lower_bound(r.first.value);
  if (next != free_.end() && next->first < r.first.value + r.count) return false;
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.count > r.first.value) return false;
  }
  question &q = questions_[asked.volume];
  q.is_asked = false;
  if (asked.needed) kept_ += std::min(q.wanted, r.count);
  newest_ = std::max(newest_, r.id);
  live_[r.id] += r.count;
  insert(r.first.value, run{r.count, r.id});
  return true;
}

// Chunks asked for ahead of need may be refused while those that a write needs would not be.
void reservation_pool::refused(const wire::reserve &asked, errc why, boottime_ms now) {
  question &q = questions_[asked.volume];
  q.is_asked = false;
  if (asked.needed && why == errc::no_space) q.refused = q.number;
  (asked.needed ? q.held_until : q.ahead_held_until) = boottime_ms{now.value + hold_after_refusal_ms};
}

bool reservation_pool::tick(boottime_ms now) {
  bool may_ask = false;
  for (auto &[volume, q] : questions_)
    for (boottime_ms *held : {&q.held_until, &q.ahead_held_until}) {
      if (now < *held) continue;
      *held = not_held;
      may_ask = true;
    }
  return may_ask;
}

boottime_ms reservation_pool::held_until() const {
  boottime_ms next = not_held;
  for (const auto &[volume, q] : questions_) next = std::min({next, q.held_until, q.ahead_held_until});
  return next;
}

wire::return_chunks reservation_pool::give_back() {
  wire::return_chunks out;
  while (free_count_ > kept_ && out.runs.size() < wire::return_runs_max) {
    const auto last = std::prev(free_.end());
    const run whole = last->second;
    const std::uint64_t count = std::min(whole.count, free_count_ - kept_);
    const store_chunk first{last->first + whole.count - count};
    out.runs.push_back({whole.reservation, first, static_cast<std::uint32_t>(count)});
    if (count == whole.count) free_.erase(last);
    else last->second.count -= count;
    free_count_ -= count;
    auto &live = live_.at(whole.reservation);
    live -= count;
    if (live == 0) live_.erase(whole.reservation);
  }
  return out;
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
  questions_.clear();
  kept_ = 0;
  newest_ = reservation_id{};
}

}  // namespace csnap::client
