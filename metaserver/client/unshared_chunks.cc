// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/unshared_chunks.h"

#include <algorithm>

namespace csnap::client {

void unshared_chunks::reset(knowledge k) {
  regions_.clear();
  all_ = k == knowledge::all;
  known_by_default_ = k == knowledge::none;
}

const std::uint64_t *unshared_chunks::words_of(std::uint64_t number) const {
  const auto found = regions_.find(number);
  return found == regions_.end() || !found->second.bits ? nullptr : found->second.bits->data();
}

bool unshared_chunks::all_set(chunk_no first, std::uint64_t count) const {
  if (all_) return true;
  const std::uint64_t end = first.value + count;
  for (std::uint64_t at = first.value; at < end;) {
    const std::uint64_t *bits = words_of(at / region_chunks);
    if (bits == nullptr) return false;
    const std::uint64_t stop = std::min(end, (at / region_chunks + 1) * region_chunks);
    while (at < stop) {
      const std::uint64_t in_word = std::min(stop, (at / 64 + 1) * 64) - at;
      const std::uint64_t mask = (in_word == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << in_word) - 1)
                                 << (at % 64);
      if ((bits[at % region_chunks / 64] & mask) != mask) return false;
      at += in_word;
    }
  }
  return true;
}

bool unshared_chunks::is_set(chunk_no chunk) const { return all_set(chunk, 1); }

unshared_chunks::region &unshared_chunks::touch(std::uint64_t number) {
  region &r = regions_[number];
  if (!r.bits) r.bits = std::make_unique<std::array<std::uint64_t, words>>();
  return r;
}

void unshared_chunks::set(chunk_no chunk) {
  if (all_) return;
  const std::uint64_t in_region = chunk.value % region_chunks;
  (*touch(region_of(chunk)).bits)[in_region / 64] |= std::uint64_t{1} << (in_region % 64);
}

bool unshared_chunks::is_known(std::uint64_t number) const {
  if (all_ || known_by_default_) return true;
  const auto found = regions_.find(number);
  return found != regions_.end() && found->second.known;
}

bool unshared_chunks::is_asked(std::uint64_t number) const {
  const auto found = regions_.find(number);
  return found != regions_.end() && found->second.asked;
}

void unshared_chunks::asked(std::uint64_t number) { regions_[number].asked = true; }

void unshared_chunks::learn(std::uint64_t number, std::string_view bits) {
  region &r = touch(number);
  r.known = true;
  r.asked = false;
  for (std::size_t i = 0; i < std::min<std::size_t>(bits.size(), region_chunks / 8); ++i)
    (*r.bits)[i / 8] |= std::uint64_t{static_cast<unsigned char>(bits[i])} << (i % 8 * 8);
}

void unshared_chunks::forget_asked() {
  for (auto &[number, r] : regions_) r.asked = false;
}

}  // namespace csnap::client
