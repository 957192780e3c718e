// SPDX-License-Identifier: BSD-3-Clause
//
// Searching and moving the entries of one page.
#pragma once

#include "metaserver/base/check.h"
#include "metaserver/store/btree.h"
#include "metaserver/store/page_pointer.h"

#include <algorithm>
#include <cstring>

namespace csnap::store {

// The first entry from `from` on whose key is not below `key`.
inline std::uint32_t lower_entry(const frame &f, const tree_key &key, std::uint32_t from = 0) {
  std::uint32_t low = from, high = f.count;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (std::memcmp(f.entry(middle), key.bytes.data(), key_bytes) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The entry of an inner page under which `key` lies: the first key counts as minus infinity.
inline std::uint32_t child_entry(const frame &f, const tree_key &key) {
  const std::uint32_t at = lower_entry(f, key, 1);
  const bool equal = at < f.count && std::memcmp(f.entry(at), key.bytes.data(), key_bytes) == 0;
  return equal ? at : at - 1;
}

inline page_pointer pointer_at(const frame &f, std::uint32_t index) {
  byte_reader in(std::span(f.entry(index) + key_bytes, pointer_bytes));
  return get_pointer(in);
}

inline std::vector<std::byte> pointer_value(const page_pointer &p) {
  byte_writer out;
  put_pointer(out, p);
  return out.release();
}

inline void insert_entry(frame &f, std::uint32_t index, const tree_key &key,
                         std::span<const std::byte> value) {
  check(f.state == frame_state::fresh && f.count < f.capacity() && index <= f.count, "insert into a page");
  check(key_bytes + value.size() == f.entry_bytes, "value size");
  std::memmove(f.entry(index + 1), f.entry(index), std::size_t{f.count - index} * f.entry_bytes);
  std::copy(key.bytes.begin(), key.bytes.end(), f.entry(index));
  std::copy(value.begin(), value.end(), f.entry(index) + key_bytes);
  ++f.count;
}

inline void remove_entry(frame &f, std::uint32_t index) {
  check(f.state == frame_state::fresh && index < f.count, "remove from a page");
  std::memmove(f.entry(index), f.entry(index + 1), std::size_t{f.count - index - 1} * f.entry_bytes);
  --f.count;
}

// Moves the entries from `from` on of `source` to the end of `target`.
inline void move_entries(frame &source, std::uint32_t from, frame &target) {
  const std::uint32_t moved = source.count - from;
  check(target.count + moved <= target.capacity(), "entries do not fit");
  std::memcpy(target.entry(target.count), source.entry(from), std::size_t{moved} * source.entry_bytes);
  target.count += moved;
  source.count = from;
}

}  // namespace csnap::store
