// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/btree.h"

#include <algorithm>

namespace csnap::store {
namespace {

template <class Integer>
void put_big_endian(std::byte *at, Integer value) {
  for (std::size_t i = sizeof(Integer); i-- > 0; value = static_cast<Integer>(value >> 8))
    at[i] = static_cast<std::byte>(value & 0xff);
}

template <class Integer>
Integer get_big_endian(const std::byte *at) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i)
    value = static_cast<Integer>((value << 8) | std::to_integer<Integer>(at[i]));
  return value;
}

}  // namespace

tree_key tree_key::of(std::uint32_t a, std::uint64_t b, std::uint64_t c) {
  tree_key key;
  put_big_endian(key.bytes.data(), a);
  put_big_endian(key.bytes.data() + 4, b);
  put_big_endian(key.bytes.data() + 12, c);
  return key;
}

tree_key tree_key::at(const std::byte *raw) {
  tree_key key;
  std::copy_n(raw, key_bytes, key.bytes.begin());
  return key;
}

std::uint32_t tree_key::first() const { return get_big_endian<std::uint32_t>(bytes.data()); }
std::uint64_t tree_key::second() const { return get_big_endian<std::uint64_t>(bytes.data() + 4); }
std::uint64_t tree_key::third() const { return get_big_endian<std::uint64_t>(bytes.data() + 12); }

tree_key tree_key::successor() const {
  tree_key next = *this;
  for (std::size_t i = key_bytes; i-- > 0;) {
    next.bytes[i] = static_cast<std::byte>(std::to_integer<unsigned>(next.bytes[i]) + 1);
    if (next.bytes[i] != std::byte{0}) return next;
  }
  return *this;
}

}  // namespace csnap::store
