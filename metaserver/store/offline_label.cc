// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/offline.h"

#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_blocks.h"

namespace csnap::store {

result<label> read_label(block_device &device) {
  const auto found = read_superblock(device);
  if (!found) return found.error();
  if (found->state != format_state::ready)
    return fail(errc::corrupt, "format or restore of this store was interrupted: run it again");
  return label{found->shape, static_cast<device_role>(found->role)};
}

result<master_record> read_master(block_device &metadata, const geometry &shape) {
  const auto slots = read_all_slots(metadata, shape);
  if (!slots) return slots.error();
  master_record newest;
  for (const slot &s : *slots)
    if (s.term > newest.term) newest = {s.term, s.address};
  return newest;
}

}  // namespace csnap::store
