// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/space_map.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/store/disk_format.h"

#include <algorithm>
#include <bit>

namespace csnap::store {

static_assert(space_map_bits % 64 == 0, "a map block is a whole number of words");

space_map::space_map(std::uint64_t unit_count)
    : unit_count_(unit_count), words_((unit_count + 63) / 64), changed_(block_count()) {}

void space_map::grow(std::uint64_t unit_count) {
  check(unit_count >= unit_count_, "a map that shrinks");
  // The last block has only the bytes that it needs, and the directory only the blocks that there are: both are
  // written anew.
  if (unit_count > unit_count_) changed_.back() = true;
  unit_count_ = unit_count;
  words_.resize((unit_count + 63) / 64);
  changed_.resize(block_count());
}

std::uint64_t space_map::block_count() const { return (unit_count_ + space_map_bits - 1) / space_map_bits; }

void space_map::mark_changed(std::uint64_t unit) { changed_[unit / space_map_bits] = true; }

bool space_map::has_changed() const {
  return std::find(changed_.begin(), changed_.end(), true) != changed_.end();
}

void space_map::clear_changed() { changed_.assign(changed_.size(), false); }

void space_map::take(std::uint64_t unit) {
  check(unit < unit_count_ && !is_busy(unit), "taking a unit in use");
  words_[unit / 64] |= std::uint64_t{1} << (unit % 64);
  ++busy_count_;
  mark_changed(unit);
}

void space_map::hold(std::uint64_t unit) {
  check(unit < unit_count_ && is_busy(unit), "freeing a free unit");
  mark_changed(unit);
}

void space_map::release(std::uint64_t unit) {
  check(unit < unit_count_ && is_busy(unit), "releasing a free unit");
  words_[unit / 64] &= ~(std::uint64_t{1} << (unit % 64));
  --busy_count_;
}

void space_map::free_now(std::uint64_t unit) {
  hold(unit);
  release(unit);
}

space_map::run space_map::find_run(std::uint64_t begin, std::uint64_t end, std::uint64_t wanted,
                                   std::uint64_t words_max) const {
  check(begin <= end && end <= unit_count_ && wanted > 0, "bounds of a search");
  run best, current;
  std::uint64_t looked = 0;
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t rest = words_[at / 64] >> (at % 64);
    const std::uint64_t in_word = std::min<std::uint64_t>(64 - at % 64, end - at);
    const auto busy = std::min<std::uint64_t>(static_cast<std::uint64_t>(std::countr_one(rest)), in_word);
    if (busy > 0) {
      current.count = 0;
      at += busy;
    } else {
      const auto free = std::min<std::uint64_t>(static_cast<std::uint64_t>(std::countr_zero(rest)), in_word);
      if (current.count == 0) current.first = at;
      current.count += free;
      at += free;
      if (current.count > best.count) best = current;
      if (best.count >= wanted) return {best.first, wanted};
    }
    if (at % 64 == 0 && ++looked > words_max && best.count > 0) return best;
  }
  return best;
}

std::size_t space_map::payload_bytes_of(std::uint64_t block) const {
  const std::uint64_t units = std::min(space_map_bits, unit_count_ - block * space_map_bits);
  return static_cast<std::size_t>((units + 7) / 8);
}

std::vector<std::byte> space_map::payload_of_block(std::uint64_t block) const {
  byte_writer out;
  const std::size_t size = payload_bytes_of(block);
  for (std::uint64_t word = block * space_map_bits / 64; out.size() < size; ++word) out.u64(words_[word]);
  auto bytes = out.release();
  bytes.resize(size);
  return bytes;
}

result<> space_map::load_block(std::uint64_t block, std::span<const std::byte> payload) {
  if (payload.size() != payload_bytes_of(block))
    return fail(errc::corrupt, "space map block " + std::to_string(block) + ": expected " +
                                   std::to_string(payload_bytes_of(block)) + " bytes, found " +
                                   std::to_string(payload.size()));
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const auto bits = std::to_integer<unsigned>(payload[i]);
    if (bits == 0) continue;
    const std::uint64_t unit = block * space_map_bits + i * 8;
    const auto valid = std::min<std::uint64_t>(8, unit_count_ - unit);
    if (valid < 8 && (bits >> valid) != 0)
      return fail(errc::corrupt, "space map block " + std::to_string(block) + ": bits beyond its end");
    words_[unit / 64] |= std::uint64_t{bits} << (unit % 64);
    busy_count_ += static_cast<std::uint64_t>(std::popcount(bits));
  }
  return {};
}

}  // namespace csnap::store
