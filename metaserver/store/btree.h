// SPDX-License-Identifier: BSD-3-Clause
//
// A copy-on-write B+tree with fixed keys and values, over page_cache and page_space. A page of the generation
// that is being built is changed in place; any other is first copied to a new page, and so are those above.
// Invariants: no page is empty (no root: the tree is); all leaves are at one depth; a page that falls below
// 3/8 is merged with a neighbour when both fit into 3/4 of a page. Errors: io, corrupt, no_space.
#pragma once

#include "metaserver/store/page_cache.h"
#include "metaserver/store/page_space.h"

#include <array>
#include <compare>
#include <functional>
#include <span>

namespace csnap::store {

struct tree_key {
  std::array<std::byte, key_bytes> bytes{};
  static tree_key of(std::uint32_t a, std::uint64_t b, std::uint64_t c);
  static tree_key at(const std::byte *raw);
  std::uint32_t first() const;
  std::uint64_t second() const;
  std::uint64_t third() const;
  tree_key successor() const;  // the next key in order; of the last one, itself
  friend auto operator<=>(const tree_key &, const tree_key &) = default;
};

inline constexpr std::size_t tree_depth_max = 16;

struct tree_path {
  struct step {
    frame *page{};
    std::uint32_t index{};
  };
  std::array<step, tree_depth_max> steps{};
  std::size_t depth = 0;
  step &leaf() { return steps[depth - 1]; }
};

class btree {
 public:
  // Good until the tree changes or the cache is trimmed.
  class cursor {
   public:
    bool at_end() const { return path_.depth == 0; }
    tree_key key() { return tree_key::at(path_.leaf().page->entry(path_.leaf().index)); }
    const std::byte *value() { return path_.leaf().page->entry(path_.leaf().index) + key_bytes; }
    bool is_last_of_leaf() { return path_.leaf().index + 1 == path_.leaf().page->count; }
    result<> next();
    result<> next_leaf();

   private:
    friend class btree;
    btree *tree_{};
    tree_path path_;
  };

  btree(page_cache &cache, page_space &space, block_type type, const planted_mistakes &planted = {})
      : cache_(cache), space_(space), type_(type), planted_(planted) {}

  page_pointer root() const { return root_; }
  void set_root(page_pointer root) { root_ = root; }

  result<cursor> seek(const tree_key &key);        // the first entry >= key
  result<cursor> seek_below(const tree_key &key);  // the last entry < key

  // Inserts or replaces; true: it was new.
  result<bool> put(const tree_key &key, std::span<const std::byte> value);
  result<bool> erase(const tree_key &key);
  // Removes the entries in [first, end) that `remove` picks; it sees each entry once, in order.
  using picker = std::function<bool(const std::byte *key, const std::byte *value)>;
  result<> erase_if(const tree_key &first, const tree_key &end, const picker &remove);

 private:
  result<frame *> fetch_child(const frame &parent, std::uint32_t index);
  result<> descend(const tree_key &key, tree_path &path);
  result<> move_right(tree_path &path);
  result<> move_left(tree_path &path);

  result<frame *> new_page(std::uint32_t level);
  result<frame *> writable_copy(frame *page);
  result<> make_writable(tree_path &path);
  void set_pointer(tree_path &path, std::size_t depth, page_pointer where);
  result<> insert(tree_path &path, std::size_t depth, std::uint32_t index, const tree_key &key,
                  std::span<const std::byte> value);
  result<> split(tree_path &path, std::size_t depth, std::uint32_t index, const tree_key &key,
                 std::span<const std::byte> value);
  result<> settle(tree_path &path);
  result<bool> merge(tree_path &path, std::size_t depth);
  result<> collapse_root();
  void free_page(frame *page);

  page_cache &cache_;
  page_space &space_;
  block_type type_;
  const planted_mistakes planted_;
  page_pointer root_;
};

}  // namespace csnap::store
