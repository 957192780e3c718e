// SPDX-License-Identifier: BSD-3-Clause
//
// What format and restore share: the frame around making a store.
#pragma once

#include "metaserver/store/superblock_blocks.h"

namespace csnap::store {

struct store_devices {
  block_device &data;
  block_device &metadata;  // the same one, if the metadata is not separate
  bool separate() const { return &data != &metadata; }
};

// Durably, those of the data device first: a device whose metadata is not ready never looks ready.
result<> write_superblocks(const store_devices &to, const geometry &shape, format_state state);

// Slots of all nodes, which say nothing yet. Whatever lies in log areas and pages is of another store and
// cannot be taken for ours; the slots are read without knowing what to expect, so they are written whole.
result<> write_initial_slots(block_device &metadata, const geometry &shape);

}  // namespace csnap::store
