// SPDX-License-Identifier: BSD-3-Clause
//
// One type for each kind of number, so that mixing two is a compile error. All are plain values.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace csnap {

template <class Tag, class Rep = std::uint64_t>
struct strong_id {
  using rep = Rep;
  Rep value{};
  constexpr strong_id() = default;
  constexpr explicit strong_id(Rep v) : value(v) {}
  friend constexpr auto operator<=>(strong_id, strong_id) = default;
};

using volume_id = strong_id<struct volume_id_tag, std::uint32_t>;     // 1.. ; never used again
using chunk_no = strong_id<struct chunk_no_tag>;                      // offset in the volume / chunk size
using snapshot_number = strong_id<struct snapshot_number_tag>;        // 1.. over the whole store
using session_id = strong_id<struct session_id_tag>;                  // 1.. ; never used again
using reservation_id = strong_id<struct reservation_id_tag>;          // 1.. ; never used again
using record_seq = strong_id<struct record_seq_tag>;                  // position in the line of records
using barrier_id = strong_id<struct barrier_id_tag>;                  // unique in one server's life
using boottime_ms = strong_id<struct boottime_ms_tag, std::int64_t>;  // CLOCK_BOOTTIME, milliseconds

// Which copy of a chunk: a chunk of the store, or "all zero, not stored".
struct store_chunk {
  std::uint64_t value{};
  static constexpr std::uint64_t zero_value = ~std::uint64_t{0};
  constexpr store_chunk() = default;
  constexpr explicit store_chunk(std::uint64_t v) : value(v) {}
  static constexpr store_chunk zero() { return store_chunk{zero_value}; }
  constexpr bool is_zero() const { return value == zero_value; }
  friend constexpr auto operator<=>(store_chunk, store_chunk) = default;
};

// A term is (counter, node), so that two candidates can never take the same one.
struct term_id {
  std::uint64_t counter{};
  std::uint32_t node{};
  friend constexpr auto operator<=>(const term_id &, const term_id &) = default;
};

// The epoch of a volume: the highest number ever given to one of its snapshots. The nonce is drawn
// when the snapshot's record is made, so that a number that was handed out by a record which was then
// lost is never taken for the same number handed out again.
struct epoch_id {
  snapshot_number number{};
  std::uint64_t nonce{};
  friend constexpr auto operator<=>(const epoch_id &, const epoch_id &) = default;
};

// 16 random bytes: stores, requests, session secrets.
struct unique_id {
  std::array<std::byte, 16> bytes{};
  friend constexpr auto operator<=>(const unique_id &, const unique_id &) = default;
};
std::string to_text(const unique_id &id);  // 8-4-4-4-12 hex digits
std::string to_text(const term_id &term);  // "COUNTER.NODE"

}  // namespace csnap

template <class Tag, class Rep>
struct std::hash<csnap::strong_id<Tag, Rep>> {
  std::size_t operator()(csnap::strong_id<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value); }
};
template <>
struct std::hash<csnap::unique_id> {
  std::size_t operator()(const csnap::unique_id &id) const noexcept {
    std::size_t h = 1469598103934665603u;
    for (std::byte b : id.bytes) h = (h ^ std::to_integer<unsigned>(b)) * 1099511628211u;
    return h;
  }
};
