// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/block.h"
#include "metaserver/store/btree_entries.h"

namespace csnap::store {

result<frame *> btree::fetch_child(const frame &parent, std::uint32_t index) {
  const page_pointer where = pointer_at(parent, index);
  auto child = cache_.fetch(where, type_);
  if (!child) return child;
  // Levels fall by one, so no damaged pointer can make a loop.
  if ((*child)->level + 1 != parent.level)
    return damaged(where.block, "level", parent.level - 1, (*child)->level);
  return child;
}

result<> btree::descend(const tree_key &key, tree_path &path) {
  path.depth = 0;
  if (root_.is_none()) return {};
  auto page = cache_.fetch(root_, type_);
  while (page) {
    frame *f = *page;
    check(path.depth < tree_depth_max, "tree too deep");
    const std::uint32_t index = f->level == 0 ? lower_entry(*f, key) : child_entry(*f, key);
    path.steps[path.depth++] = {f, index};
    if (f->level == 0) return {};
    page = fetch_child(*f, index);
  }
  return page.error();
}

// From the leaf (whatever its index) to the first entry of the next one; depth 0: there is none.
result<> btree::move_right(tree_path &path) {
  std::size_t depth = path.depth - 1;
  while (depth > 0 && path.steps[depth - 1].index + 1 >= path.steps[depth - 1].page->count) --depth;
  if (depth == 0) {
    path.depth = 0;
    return {};
  }
  ++path.steps[depth - 1].index;
  for (; depth < path.depth; ++depth) {
    auto child = fetch_child(*path.steps[depth - 1].page, path.steps[depth - 1].index);
    if (!child) return child.error();
    path.steps[depth] = {*child, 0};
  }
  return {};
}

// To the last entry of the leaf before.
result<> btree::move_left(tree_path &path) {
  std::size_t depth = path.depth - 1;
  while (depth > 0 && path.steps[depth - 1].index == 0) --depth;
  if (depth == 0) {
    path.depth = 0;
    return {};
  }
  --path.steps[depth - 1].index;
  for (; depth < path.depth; ++depth) {
    auto child = fetch_child(*path.steps[depth - 1].page, path.steps[depth - 1].index);
    if (!child) return child.error();
    path.steps[depth] = {*child, (*child)->count - 1};
  }
  return {};
}

result<btree::cursor> btree::seek(const tree_key &key) {
  cursor c;
  c.tree_ = this;
  auto done = descend(key, c.path_);
  if (done && !c.at_end() && c.path_.leaf().index >= c.path_.leaf().page->count) done = move_right(c.path_);
  if (!done) return done.error();
  return c;
}

result<btree::cursor> btree::seek_below(const tree_key &key) {
  cursor c;
  c.tree_ = this;
  auto done = descend(key, c.path_);
  if (done && !c.at_end()) {
    if (c.path_.leaf().index > 0) --c.path_.leaf().index;
    else done = move_left(c.path_);
  }
  if (!done) return done.error();
  return c;
}

result<> btree::cursor::next() {
  check(!at_end(), "next() at the end");
  if (++path_.leaf().index < path_.leaf().page->count) return {};
  return tree_->move_right(path_);
}

result<> btree::cursor::next_leaf() {
  check(!at_end(), "next_leaf() at the end");
  return tree_->move_right(path_);
}

}  // namespace csnap::store
