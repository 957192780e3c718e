// SPDX-License-Identifier: BSD-3-Clause
//
// The areas of the page region, and who may allocate in which. A claim stands in its node's slot and counts
// until a master with proof that it is over says so in its own slot: only a slot's own node ever writes it.
#pragma once

#include "metaserver/store/disk_format.h"

#include <array>
#include <vector>

namespace csnap::store {

using area_set = std::array<std::byte, area_count / 8>;

// Area a is the pages [page_count * a / 256, page_count * (a + 1) / 256).
std::uint64_t first_page_of_area(const geometry &shape, std::uint64_t area);
bool has_area(const area_set &areas, std::uint64_t area);
std::size_t area_count_of(const area_set &areas);

// Whose claims count is said by the highest `dead_below` of all slots: those of lower terms are over.
// What a master of node `mine` may allocate from, knowing nothing about its predecessors on other nodes: what
// its node has claimed already, and if that is less than a quarter, half of what nobody claims. The other half
// is for a successor that knows as little.
area_set choose_areas(const std::vector<slot> &slots, std::uint32_t mine);
// Has another master whose claims count claimed an area that `mine` claims, too? Its claim was written after ours
// were chosen.
bool claims_meet(const std::vector<slot> &slots, std::uint32_t mine);
// All predecessors are proven dead: everything but a quarter that nobody has claimed, again for a successor.
// `own` stays claimed in any case.
area_set areas_after_proof(const std::vector<slot> &slots, const area_set &own);

}  // namespace csnap::store
