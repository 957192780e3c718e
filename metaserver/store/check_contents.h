// SPDX-License-Identifier: BSD-3-Clause
//
// Verifies what a store says, once it could be read: owners of chunks, counters, names, numbers.
#pragma once

#include "metaserver/store/check_findings.h"
#include "metaserver/store/store_state.h"

#include <vector>

namespace csnap::store {

// Who owns each store chunk. One bit for each.
class chunk_owners {
 public:
  chunk_owners(std::uint64_t chunk_count, check_findings &findings)
      : owned_(chunk_count), findings_(findings) {}

  // `who` names the owner in messages. Reports chunks that do not exist, and second owners.
  void add(store_chunk place, const std::string &who);
  void add_reserved(const std::map<reservation_id, reservation_info> &reservations);
  // Reports each run of chunks whose bit in the map is not what its owners say.
  void compare(const space_map &map, const char *when);

 private:
  std::vector<bool> owned_;
  check_findings &findings_;
};

// One exception, in whatever state of the store.
void check_exception(const tree_key &key, std::span<const std::byte> value, const catalog_state &catalog,
                     const geometry &shape, check_findings &findings);
void check_catalog(const catalog_state &catalog, const geometry &shape, check_findings &findings);

}  // namespace csnap::store
