// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/newest_term.h"

#include "metaserver/store/slot_blocks.h"

namespace csnap::store {

result<term_id> newest_term(block_device &metadata, const geometry &shape) {
  const auto slots = read_all_slots(metadata, shape);
  if (!slots) return slots.error();
  return highest_term(*slots);
}

}  // namespace csnap::store
