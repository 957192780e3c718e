// SPDX-License-Identifier: BSD-3-Clause
//
// The superblock on a device: blocks 0 and 1 hold the same, the primary and its copy. It is written by format
// only. read_superblock() takes a store whose format is still in progress too (the engine works on it while
// format runs); read_label() in offline.h is what everybody else asks.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"

#include <vector>

namespace csnap::store {

// The copy comes first, so that a crash between the two leaves a primary that tells the older state.
std::vector<device_write> superblock_writes(const geometry &shape, device_role role, format_state state);

// One copy: block 0 or 1. Errors: not_found (no magic), io, corrupt, unsupported.
result<superblock> read_superblock_copy(block_device &device, std::uint64_t block);

// The primary, else the copy. Errors: as above, and corrupt when the device is smaller than what is on it.
result<superblock> read_superblock(block_device &device);

}  // namespace csnap::store
