// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/page_space.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::store {

page_space::page_space(const geometry &shape)
    : shape_(shape), first_block_(shape.pages_offset_bytes / block_bytes), map_(shape.page_count) {}

void page_space::begin(const area_set &areas, std::uint64_t generation, term_id term) {
  generation_ = generation;
  term_ = term;
  allow(areas);
}

void page_space::allow(const area_set &areas) {
  ours_.clear();
  for (std::uint64_t area = 0; area < area_count; ++area) {
    const std::uint64_t first = first_page_of_area(shape_, area), end = first_page_of_area(shape_, area + 1);
    if (!has_area(areas, area) || first == end) continue;
    if (!ours_.empty() && ours_.back().first + ours_.back().count == first) ours_.back().count += end - first;
    else ours_.push_back({first, end - first});
  }
  free_count_ = 0;
  for (const auto &range : ours_)
    for (std::uint64_t page = range.first; page < range.first + range.count; ++page)
      free_count_ += map_.is_busy(page) ? 0 : 1;
  range_ = 0;
  next_ = ours_.empty() ? 0 : ours_[0].first;
}

std::uint64_t page_space::allowed_count() const {
  std::uint64_t count = 0;
  for (const auto &range : ours_) count += range.count;
  return count;
}

bool page_space::is_ours(std::uint64_t page) const {
  auto range = std::upper_bound(ours_.begin(), ours_.end(), page,
                                [](std::uint64_t p, const space_map::run &r) { return p < r.first; });
  return range != ours_.begin() && page < std::prev(range)->first + std::prev(range)->count;
}

result<page_pointer> page_space::allocate() {
  // The range of the last page twice: from there to its end, and at last from its beginning.
  for (std::size_t tried = 0; free_count_ > 0 && tried <= ours_.size(); ++tried) {
    const auto &range = ours_[range_];
    const auto found = map_.find_run(next_, range.first + range.count, 1, ~std::uint64_t{0});
    if (found.count > 0) {
      map_.take(found.first);
      next_ = found.first + 1;
      --free_count_;
      return page_pointer{first_block_ + found.first, generation_, term_};
    }
    range_ = (range_ + 1) % ours_.size();
    next_ = ours_[range_].first;
  }
  check(free_count_ == 0, "free pages that no search finds");
  return fail(errc::no_space, "no free metadata page in the areas of this node");
}

void page_space::free(page_pointer page) {
  check(is_page(page.block), "freeing a block that is no page");
  const std::uint64_t index = page.block - first_block_;
  if (is_fresh(page)) {
    // No checkpoint ever handed it out: nothing on disk refers to it.
    map_.free_now(index);
    ++free_count_;
    return;
  }
  map_.hold(index);
  held_.push_back(index);
}

void page_space::checkpoint_taken() {
  check(held_by_checkpoint_.empty(), "two checkpoints at once");
  held_by_checkpoint_.swap(held_);
  ++generation_;
}

void page_space::checkpoint_done() {
  for (const std::uint64_t page : held_by_checkpoint_) {
    map_.release(page);
    if (is_ours(page)) ++free_count_;
  }
  held_by_checkpoint_.clear();
}

}  // namespace csnap::store
