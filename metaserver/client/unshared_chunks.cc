// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/unshared_chunks.h"

#include <algorithm>

namespace csnap::client {

void unshared_chunks::reset(knowledge k) {
  all_.store(k == knowledge::all, std::memory_order_release);
  known_by_default_ = k == knowledge::none;
  for (region &r : regions_) {
    r.known = r.asked = false;
    if (r.owned)
      for (auto &word : *r.owned) word.store(0, std::memory_order_release);
  }
}

bool unshared_chunks::all_set(chunk_no first, std::uint64_t count) const {
  if (all_.load(std::memory_order_acquire)) return true;
  const std::uint64_t end = first.value + count;
  for (std::uint64_t at = first.value; at < end;) {
    const words *bits = regions_[at / region_chunks].bits.load(std::memory_order_acquire);
    if (bits == nullptr) return false;
    const std::uint64_t stop = std::min(end, (at / region_chunks + 1) * region_chunks);
    while (at < stop) {
      const std::uint64_t in_word = std::min(stop, (at / 64 + 1) * 64) - at;
      const std::uint64_t mask = (in_word == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << in_word) - 1)
                                 << (at % 64);
      if (((*bits)[at % region_chunks / 64].load(std::memory_order_acquire) & mask) != mask) return false;
      at += in_word;
    }
  }
  return true;
}

unshared_chunks::words &unshared_chunks::touch(std::uint64_t number) {
  region &r = regions_[number];
  if (!r.owned) {
    r.owned = std::make_unique<words>();
    r.bits.store(r.owned.get(), std::memory_order_release);
  }
  return *r.owned;
}

void unshared_chunks::set(chunk_no chunk) {
  if (all_) return;
  const std::uint64_t in_region = chunk.value % region_chunks;
  touch(region_of(chunk))[in_region / 64].fetch_or(std::uint64_t{1} << (in_region % 64));
}

void unshared_chunks::learn(std::uint64_t number, std::string_view bits) {
  words &into = touch(number);
  regions_[number].known = true;
  regions_[number].asked = false;
  for (std::size_t i = 0; i < std::min<std::size_t>(bits.size(), region_chunks / 8); ++i)
    into[i / 8].fetch_or(std::uint64_t{static_cast<unsigned char>(bits[i])} << (i % 8 * 8));
}

void unshared_chunks::forget_asked() {
  for (region &r : regions_) r.asked = false;
}

}  // namespace csnap::client
