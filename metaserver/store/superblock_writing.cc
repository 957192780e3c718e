// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/superblock_writing.h"

#include "metaserver/store/slot_blocks.h"

namespace csnap::store {

result<> write_superblocks(const store_devices &to, const geometry &shape, format_state state) {
  if (to.separate())
    if (auto done =
            run_writes(to.data, superblock_writes(shape, device_role::data, state), durability::durable);
        !done)
      return done;
  const device_role role = to.separate() ? device_role::metadata : device_role::combined;
  return run_writes(to.metadata, superblock_writes(shape, role, state), durability::durable);
}

result<> write_initial_slots(block_device &metadata, const geometry &shape) {
  for (std::uint32_t node = 0; node < shape.node_count; ++node)
    if (auto done = run_writes(metadata, initial_slot_writes(shape, node), durability::cached); !done)
      return done;
  return metadata.flush();
}

}  // namespace csnap::store
