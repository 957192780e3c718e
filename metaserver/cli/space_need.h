// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the store snapshots could come to need, against what is free.
#pragma once

#include "metaserver/cli/master_call.h"

#include <string>
#include <vector>

namespace csnap::cli {

struct space_need {
  std::uint64_t at_most_bytes{};  // if every chunk of the volumes named is written once
  std::uint64_t free_bytes{};
  bool is_enough() const { return at_most_bytes <= free_bytes; }
};

// Errors: as the server's; not_found for a volume that it does not have.
result<space_need> ask_space_need(const master_call &master, const std::vector<wire::snapshot_pair> &members);

}  // namespace csnap::cli
