// SPDX-License-Identifier: BSD-3-Clause
//
// The difference of two snapshots in bytes: ascending, merged, and within the volume, whose last chunk may be
// shorter than the others.
#pragma once

#include "metaserver/wire/messages.h"

#include <cstdint>
#include <vector>

namespace csnap::cli {

struct byte_run {
  std::uint64_t offset{}, length{};
  bool zero{};
  friend bool operator==(const byte_run &, const byte_run &) = default;
};

// Appends `runs` to `out`, which was made of the chunks before them. False: the runs are not ascending, or
// out of any volume (a server's fault).
bool append_runs(std::vector<byte_run> &out, const std::vector<wire::diff_run> &runs,
                 std::uint64_t chunk_bytes, std::uint64_t size_bytes);

}  // namespace csnap::cli
