// SPDX-License-Identifier: BSD-3-Clause
//
// Gives out metadata pages, only in areas that the own slot claims. A page that the root on disk may need is
// held when it is freed: first while the next checkpoint is not begun, then until that checkpoint is done.
#pragma once

#include "metaserver/store/disk_format.h"
#include "metaserver/store/space_map.h"

#include <array>
#include <vector>

namespace csnap::store {

using area_set = std::array<std::byte, area_count / 8>;

// Area a is the pages [page_count * a / 256, page_count * (a + 1) / 256).
std::uint64_t first_page_of_area(const geometry &shape, std::uint64_t area);
bool has_area(const area_set &areas, std::uint64_t area);
// What `mine` may allocate from: everything if the others are known dead; else its own areas that no other
// slot claims, and if there are none, half of those that nobody claims.
area_set choose_areas(const std::vector<slot> &slots, std::uint32_t mine, bool others_are_dead);

class page_space {
 public:
  explicit page_space(const geometry &shape);

  space_map &map() { return map_; }
  const space_map &map() const { return map_; }
  // After the map was loaded. `generation` is what pages allocated from now on carry.
  void begin(const area_set &areas, std::uint64_t generation);

  result<page_pointer> allocate();       // errors: no_space
  void free(page_pointer page);
  bool is_page(std::uint64_t block) const {
    return block >= first_block_ && block < first_block_ + map_.unit_count();
  }
  bool is_fresh(page_pointer page) const { return page.generation == generation_; }

  std::uint64_t generation() const { return generation_; }
  std::uint64_t free_count() const { return free_count_; }           // can be allocated at once
  std::uint64_t held_count() const { return held_.size() + held_by_checkpoint_.size(); }
  // Pages whose bit is busy but which the next root calls free.
  const std::vector<std::uint64_t> &held() const { return held_; }

  void checkpoint_taken();   // held pages now wait for it; new pages are of the next generation
  void checkpoint_done();

 private:
  bool is_ours(std::uint64_t page) const;

  geometry shape_;
  std::uint64_t first_block_;
  space_map map_;
  std::vector<space_map::run> ours_;     // claimed ranges of pages, sorted, not empty
  std::size_t range_ = 0;                // next fit: where the last page was found
  std::uint64_t next_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t free_count_ = 0;
  std::vector<std::uint64_t> held_, held_by_checkpoint_;
};

}  // namespace csnap::store
