// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/btree_entries.h"

namespace csnap::store {

result<frame *> btree::new_page(std::uint32_t level) {
  auto where = space_.allocate();
  if (!where) return where.error();
  return &cache_.add_fresh(*where, type_, level);
}

void btree::free_page(frame *page) {
  const page_pointer where = page->where;
  space_.free(where);
  cache_.drop(where);
}

result<frame *> btree::writable_copy(frame *page) {
  if (page->state == frame_state::fresh) return page;
  auto copy = new_page(page->level);
  if (!copy) return copy;
  (*copy)->count = page->count;
  (*copy)->block = page->block;
  free_page(page);
  return copy;
}

void btree::set_pointer(tree_path &path, std::size_t depth, page_pointer where) {
  if (depth == 0) {
    root_ = where;
    return;
  }
  const auto raw = pointer_value(where);
  auto &parent = path.steps[depth - 1];
  std::copy(raw.begin(), raw.end(), parent.page->entry(parent.index) + key_bytes);
}

result<> btree::make_writable(tree_path &path) {
  // A fresh page lies only under fresh pages: one look at the leaf is enough for most changes.
  if (path.leaf().page->state == frame_state::fresh) return {};
  for (std::size_t depth = 0; depth < path.depth; ++depth) {
    auto copy = writable_copy(path.steps[depth].page);
    if (!copy) return copy.error();
    if (*copy == path.steps[depth].page) continue;
    path.steps[depth].page = *copy;
    set_pointer(path, depth, (*copy)->where);
  }
  return {};
}

result<bool> btree::put(const tree_key &key, std::span<const std::byte> value) {
  if (root_.is_none()) {
    auto page = new_page(0);
    if (!page) return page.error();
    insert_entry(**page, 0, key, value);
    root_ = (*page)->where;
    return true;
  }
  tree_path path;
  if (auto done = descend(key, path); !done) return done.error();
  if (auto done = make_writable(path); !done) return done.error();
  auto &leaf = path.leaf();
  if (leaf.index < leaf.page->count && tree_key::at(leaf.page->entry(leaf.index)) == key) {
    check(key_bytes + value.size() == leaf.page->entry_bytes, "value size");
    std::copy(value.begin(), value.end(), leaf.page->entry(leaf.index) + key_bytes);
    return false;
  }
  if (auto done = insert(path, path.depth - 1, leaf.index, key, value); !done) return done.error();
  return true;
}

result<> btree::insert(tree_path &path, std::size_t depth, std::uint32_t index, const tree_key &key,
                       std::span<const std::byte> value) {
  frame &page = *path.steps[depth].page;
  if (page.count == page.capacity()) return split(path, depth, index, key, value);
  insert_entry(page, index, key, value);
  return {};
}

result<> btree::split(tree_path &path, std::size_t depth, std::uint32_t index, const tree_key &key,
                      std::span<const std::byte> value) {
  frame &left = *path.steps[depth].page;
  auto added = new_page(left.level);
  if (!added) return added.error();
  frame &right = **added;
  if (index == left.count) {
    // Appending leaves full pages behind: ascending inserts fill them all.
    insert_entry(right, 0, key, value);
  } else {
    const std::uint32_t half = left.count / 2;
    move_entries(left, half, right);
    if (index <= half) insert_entry(left, index, key, value);
    else insert_entry(right, index - half, key, value);
  }
  const tree_key separator = tree_key::at(right.entry(0));
  if (planted_.split_loses_right) return {};
  if (depth > 0)
    return insert(path, depth - 1, path.steps[depth - 1].index + 1, separator, pointer_value(right.where));
  auto top = new_page(left.level + 1);
  if (!top) return top.error();
  insert_entry(**top, 0, tree_key::at(left.entry(0)), pointer_value(left.where));
  insert_entry(**top, 1, separator, pointer_value(right.where));
  root_ = (*top)->where;
  return {};
}

result<bool> btree::erase(const tree_key &key) {
  bool found = false;
  auto done =
      erase_if(key, key.successor(), [&](const std::byte *, const std::byte *) { return found = true; });
  if (!done) return done.error();
  return found;
}

result<> btree::erase_if(const tree_key &first, const tree_key &end, const picker &remove) {
  std::array<std::uint8_t, payload_bytes_max / key_bytes> picked;
  for (tree_key from = first; from < end;) {
    auto at = seek(from);
    if (!at) return at.error();
    if (at->at_end() || at->key() >= end) return {};
    tree_path &path = at->path_;
    const std::uint32_t begin = path.leaf().index;
    const std::uint32_t stop = lower_entry(*path.leaf().page, end);
    bool any = false;
    for (std::uint32_t i = begin; i < stop; ++i) {
      const std::byte *entry = path.leaf().page->entry(i);
      picked[i] = remove(entry, entry + key_bytes) ? 1 : 0;
      any |= picked[i] != 0;
    }
    from = tree_key::at(path.leaf().page->entry(stop - 1)).successor();
    if (!any) continue;
    if (auto done = make_writable(path); !done) return done;
    frame &leaf = *path.leaf().page;
    std::uint32_t kept = begin;
    for (std::uint32_t i = begin; i < leaf.count; ++i)
      if (i >= stop || picked[i] == 0) {
        if (i != kept) std::memcpy(leaf.entry(kept), leaf.entry(i), leaf.entry_bytes);
        ++kept;
      }
    leaf.count = kept;
    if (auto done = settle(path); !done) return done;
  }
  return {};
}

// Restores the invariants upwards after entries were removed from the leaf of a writable path.
result<> btree::settle(tree_path &path) {
  for (std::size_t depth = path.depth; depth-- > 0;) {
    frame *page = path.steps[depth].page;
    if (page->count == 0) {
      free_page(page);
      if (depth == 0) {
        root_ = {};
        return {};
      }
      remove_entry(*path.steps[depth - 1].page, path.steps[depth - 1].index);
      continue;
    }
    if (depth == 0) return collapse_root();
    if (page->count > page->capacity() * 3 / 8) return {};
    auto merged = merge(path, depth);
    if (!merged) return merged.error();
    if (!*merged) return {};
  }
  return {};
}

result<bool> btree::merge(tree_path &path, std::size_t depth) {
  auto &parent = path.steps[depth - 1];
  if (parent.page->count < 2) return false;
  const std::uint32_t left_index = parent.index + 1 < parent.page->count ? parent.index : parent.index - 1;
  const bool sibling_is_left = left_index != parent.index;
  auto sibling = fetch_child(*parent.page, sibling_is_left ? left_index : left_index + 1);
  if (!sibling) return sibling.error();
  frame *page = path.steps[depth].page;
  if (page->count + (*sibling)->count > page->capacity() * 3 / 4) return false;
  frame *left = page, *right = *sibling;
  if (sibling_is_left) {
    auto copy = writable_copy(*sibling);
    if (!copy) return copy.error();
    left = *copy;
    right = page;
    parent.index = left_index;
    set_pointer(path, depth, left->where);
  }
  const std::uint32_t joint = left->count;
  const tree_key separator = tree_key::at(parent.page->entry(left_index + 1));
  // `right` may be a page that a checkpoint is writing: it is only read.
  std::memcpy(left->entry(joint), right->entry(0), std::size_t{right->count} * right->entry_bytes);
  left->count += right->count;
  // Right's first key counted as minus infinity; in the middle of a page it has to be a true one.
  if (left->level > 0) std::copy(separator.bytes.begin(), separator.bytes.end(), left->entry(joint));
  free_page(right);
  remove_entry(*parent.page, left_index + 1);
  return true;
}

result<> btree::collapse_root() {
  for (;;) {
    auto top = cache_.fetch(root_, type_);
    if (!top) return top.error();
    if ((*top)->level == 0 || (*top)->count > 1) return {};
    const page_pointer child = pointer_at(**top, 0);
    free_page(*top);
    root_ = child;
  }
}

}  // namespace csnap::store
