// SPDX-License-Identifier: BSD-3-Clause
//
// What block status says about a part of an export, with the values of NBD's base:allocation.
#pragma once

#include <cstdint>
#include <vector>

namespace csnap::plugin {

inline constexpr std::uint32_t extent_data = 0;
inline constexpr std::uint32_t extent_hole = 1;
inline constexpr std::uint32_t extent_zero = 2;

struct export_extent {
  std::uint64_t offset{};
  std::uint64_t length{};
  std::uint32_t type = extent_data;
  friend bool operator==(const export_extent &, const export_extent &) = default;
};

// Appends, merging with the last one where it is of the same type.
inline void append_extent(std::vector<export_extent> &list, export_extent next) {
  if (next.length == 0) return;
  if (!list.empty() && list.back().type == next.type) list.back().length += next.length;
  else list.push_back(next);
}

}  // namespace csnap::plugin
