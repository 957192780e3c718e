// SPDX-License-Identifier: BSD-3-Clause
//
// From what is on the device to a state in memory. Writes nothing, so it may be repeated as often as it is
// interrupted.
#pragma once

#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/store_state.h"

#include <memory>

namespace csnap::store {

struct recovered {
  std::unique_ptr<store_state> state;
  root newest;      // what it was loaded from; term counter 0: the store never had a root
  record_seq last;  // the last record replayed, or newest.covers
  std::uint64_t log_records = 0;
};

// Loads the newest root of `slots` and replays its writer's log; pages that this changes become pages of
// `writer` in `areas`. Errors: io, corrupt, unsupported, no_space.
result<recovered> recover(block_device &device, const geometry &shape, const std::vector<slot> &slots,
                          term_id writer, const area_set &areas, std::size_t cache_bytes,
                          const planted_mistakes &planted = {});

}  // namespace csnap::store
