// SPDX-License-Identifier: BSD-3-Clause
//
// What happens to a volume's writes that need a copy when the store has no room for it: set for each volume.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace csnap {

enum class full_policy : std::uint8_t {
  error = 1,           // they fail with "no space left on device"
  origin_first = 2,    // snapshots of the volume are given up, and the writes go on
  snapshot_first = 3,  // they wait until something else gives room
};

// As people write it: "error", "origin-first", "snapshot-first".
const char *to_text(full_policy policy);
std::optional<full_policy> parse_full_policy(std::string_view text);

}  // namespace csnap
