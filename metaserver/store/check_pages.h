// SPDX-License-Identifier: BSD-3-Clause
//
// Reads what a root refers to, page by page and without any cache, and notes which pages that are. Goes on
// after damage with what can still be reached. Memory: one bit per page, and one page per level.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/btree.h"
#include "metaserver/store/check_findings.h"

#include <functional>
#include <optional>
#include <vector>

namespace csnap::store {

class check_pages {
 public:
  check_pages(block_device &device, const geometry &shape, const root &r, check_findings &findings);

  // Verifies a tree and gives each entry of its leaves, in order.
  using entry_receiver = std::function<void(const tree_key &, std::span<const std::byte> value)>;
  void walk_tree(page_pointer top, block_type type, const entry_receiver &receive);
  // Notes the pages of a map: directory and map blocks.
  void walk_map(page_pointer directory);

  // Pages that were found, and those found twice were reported.
  const std::vector<bool> &used() const { return used_; }

 private:
  struct bounds {
    std::optional<tree_key> low, end;
  };
  bool enter(page_pointer where);
  std::optional<block_header> read(page_pointer where, block_type type, std::span<std::byte> block);
  void walk_page(page_pointer where, block_type type, std::optional<std::uint32_t> level,
                 const bounds &within, const entry_receiver &receive);
  void check_keys(std::uint64_t block, std::span<const std::byte> payload, std::size_t entry_bytes,
                  bool is_leaf, const bounds &within);

  block_device &device_;
  const geometry shape_;
  const root root_;
  check_findings &findings_;
  std::vector<bool> used_;
};

}  // namespace csnap::store
