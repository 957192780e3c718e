// SPDX-License-Identifier: BSD-3-Clause
//
// What the workload writes: each sector says who wrote it where and in which write, twice, so that a torn one
// is known. All zero is a value, too: what was never written, zeroed or trimmed.
#pragma once

#include "tests/simulation/disk_image.h"

#include <cstring>
#include <optional>

namespace csnap::simulation {

using write_id = std::uint64_t;  // 0: zeroes

struct sector_stamp {
  std::uint32_t magic = 0x43534e53;
  std::uint32_t volume{};
  std::uint64_t sector{};
  write_id id{};
  std::uint32_t node{};
  std::uint32_t thread{};
  std::uint64_t epoch{};
  friend bool operator==(const sector_stamp &, const sector_stamp &) = default;
};

inline void put_stamp(std::byte *sector, const sector_stamp &stamp) {
  std::memset(sector, 0, sector_bytes);
  std::memcpy(sector, &stamp, sizeof stamp);
  std::memcpy(sector + sector_bytes / 2, &stamp, sizeof stamp);
}

// None: torn, or not of this place.
inline std::optional<write_id> read_stamp(const std::byte *sector, std::uint32_t volume,
                                          std::uint64_t number) {
  sector_stamp first, mirror;
  std::memcpy(&first, sector, sizeof first);
  std::memcpy(&mirror, sector + sector_bytes / 2, sizeof mirror);
  if (first.magic == 0 && mirror.magic == 0) {
    static const std::byte zeroes[sector_bytes]{};
    if (std::memcmp(sector, zeroes, sector_bytes) == 0) return write_id{0};
    return std::nullopt;
  }
  if (!(first == mirror) || first.volume != volume || first.sector != number) return std::nullopt;
  return first.id;
}

}  // namespace csnap::simulation
