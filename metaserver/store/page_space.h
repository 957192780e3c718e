// SPDX-License-Identifier: BSD-3-Clause
//
// Gives out metadata pages, only in areas that the own slot claims. A page that the root on disk may need is
// held when it is freed: first while the next checkpoint is not begun, then until that checkpoint is done.
#pragma once

#include "metaserver/store/page_areas.h"
#include "metaserver/store/space_map.h"

#include <vector>

namespace csnap::store {

class page_space {
 public:
  explicit page_space(const geometry &shape);

  space_map &map() { return map_; }
  const space_map &map() const { return map_; }
  // After the map was loaded. `generation` and `term` are what pages allocated from now on carry.
  void begin(const area_set &areas, std::uint64_t generation, term_id term);
  // From now on allocates in these.
  void allow(const area_set &areas);

  result<page_pointer> allocate();  // errors: no_space
  void free(page_pointer page);
  bool is_page(std::uint64_t block) const {
    return block >= first_block_ && block < first_block_ + map_.unit_count();
  }
  // Of the checkpoint that is not begun yet: never written.
  bool is_fresh(const page_pointer &page) const {
    return page.generation == generation_ && page.term == term_;
  }

  std::uint64_t generation() const { return generation_; }
  term_id term() const { return term_; }
  std::uint64_t allowed_count() const;                      // all pages of the areas that are ours
  std::uint64_t free_count() const { return free_count_; }  // can be allocated at once
  std::uint64_t held_count() const { return held_.size() + held_by_checkpoint_.size(); }
  // Pages whose bit is busy but which the next root calls free.
  const std::vector<std::uint64_t> &held() const { return held_; }

  void checkpoint_taken();  // held pages now wait for it; new pages are of the next generation
  void checkpoint_done();

 private:
  bool is_ours(std::uint64_t page) const;

  geometry shape_;
  std::uint64_t first_block_;
  space_map map_;
  std::vector<space_map::run> ours_;  // claimed ranges of pages, sorted, not empty
  std::size_t range_ = 0;             // next fit: where the last page was found
  std::uint64_t next_ = 0;
  std::uint64_t generation_ = 0;
  term_id term_;
  std::uint64_t free_count_ = 0;
  std::vector<std::uint64_t> held_, held_by_checkpoint_;
};

}  // namespace csnap::store
