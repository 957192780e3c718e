// SPDX-License-Identifier: BSD-3-Clause
//
// A node's slot on the device. Sequence s goes to blocks (s % 2) * 2 and (s % 2) * 2 + 1 of the slot's four,
// one after the other and each durably, so a crash can damage at most one block of a pair. A pair with no
// valid block is therefore rot, and an error: the other pair may hold something older.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/engine.h"

#include <vector>

namespace csnap::store {

// What format writes for each node: sequences 0 and 1, so that all four blocks are valid from the start.
std::vector<device_write> initial_slot_writes(const geometry &shape, std::uint32_t node);

std::vector<device_write> slot_writes(const geometry &shape, const slot &s,
                                      const planted_mistakes &planted = {});

// The newest valid copy. Errors: io, corrupt, unsupported.
result<slot> read_slot(block_device &device, const geometry &shape, std::uint32_t node);
result<std::vector<slot>> read_all_slots(block_device &device, const geometry &shape,
                                         const planted_mistakes &planted = {});

// Over all terms claimed and all roots.
term_id highest_term(const std::vector<slot> &slots);

// The slot with the root of the highest (term, generation), or null: the store never had one.
const slot *newest_root_of(const std::vector<slot> &slots, const planted_mistakes &planted = {});

}  // namespace csnap::store
