// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/disk_image.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <cstring>

namespace csnap::simulation {

disk_image::disk_image(std::uint64_t size_bytes)
    : size_bytes_(size_bytes),
      current_((size_bytes + image_block_bytes - 1) / image_block_bytes),
      durable_(current_.size()) {}

void disk_image::enlarge(std::uint64_t to_bytes) {
  check(to_bytes >= size_bytes_, "a disk that becomes smaller");
  size_bytes_ = to_bytes;
  current_.resize((to_bytes + image_block_bytes - 1) / image_block_bytes);
  durable_.resize(current_.size());
}

const disk_image::block &disk_image::content(const block_ptr &which) {
  static const block zeroes{};
  return which ? *which : zeroes;
}

disk_image::block &disk_image::own(block_ptr &which) {
  if (!which) which = std::make_shared<block>();
  else if (which.use_count() > 1) which = std::make_shared<block>(*which);
  return *which;
}

void disk_image::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const std::uint64_t skip = offset % image_block_bytes;
    const std::size_t count = std::min<std::size_t>(into.size(), image_block_bytes - skip);
    std::memcpy(into.data(), content(current_[offset / image_block_bytes]).data() + skip, count);
    into = into.subspan(count);
    offset += count;
  }
}

void disk_image::write(std::uint64_t offset, std::span<const std::byte> from, bool durable) {
  check(offset % sector_bytes == 0 && from.size() % sector_bytes == 0, "a write of half a sector");
  ++last_write_;
  while (!from.empty()) {
    const std::uint64_t skip = offset % image_block_bytes, number = offset / image_block_bytes;
    const std::size_t count = std::min<std::size_t>(from.size(), image_block_bytes - skip);
    if (number >= remember_from_ && current_[number]) older_[number] = current_[number];
    std::memcpy(own(current_[number]).data() + skip, from.data(), count);
    if (durable) {
      if (count == image_block_bytes) durable_[number] = current_[number];
      else std::memcpy(own(durable_[number]).data() + skip, from.data(), count);
      // None of the older versions of these sectors may come back.
      if (const auto found = unflushed_.find(number); found != unflushed_.end()) {
        if (count == image_block_bytes) unflushed_.erase(found);
        else
          for (version &v : found->second) std::memcpy(own(v.content).data() + skip, from.data(), count);
      }
    } else {
      unflushed_[number].push_back({last_write_, current_[number]});
    }
    from = from.subspan(count);
    offset += count;
  }
}

void disk_image::flush(std::uint64_t mark) {
  for (auto at = unflushed_.begin(); at != unflushed_.end();) {
    auto &versions = at->second;
    const auto later =
        std::find_if(versions.begin(), versions.end(), [&](const version &v) { return v.number > mark; });
    if (later != versions.begin()) durable_[at->first] = std::prev(later)->content;
    versions.erase(versions.begin(), later);
    at = versions.empty() ? unflushed_.erase(at) : std::next(at);
  }
}

void disk_image::forget_unflushed() { unflushed_.clear(); }

bool disk_image::is_unflushed(std::uint64_t sector) const {
  return unflushed_.contains(sector / sectors_per_block);
}

disk_image::cut_result disk_image::power_cut(prng &chance, bool may_tear) {
  cut_result counts;
  // Now and then everything or nothing survives: the extremes are worth meeting often.
  const auto mood = chance.below(8);
  for (auto &[number, versions] : unflushed_) {
    block &kept = own(durable_[number]);
    for (std::size_t s = 0; s < sectors_per_block; ++s) {
      const std::size_t at = s * sector_bytes;
      std::size_t pick = mood == 0 ? 0 : mood == 1 ? versions.size() : chance.below(versions.size() + 1);
      if (pick == 0) {
        ++counts.lost;
        continue;
      }
      const std::byte *from = versions[pick - 1].content->data() + at;
      const bool differs = std::memcmp(kept.data() + at, from, sector_bytes) != 0;
      if (differs && may_tear && mood > 1 && chance.one_in(8)) {
        std::memcpy(kept.data() + at, from, sector_bytes / 2);
        ++counts.torn;
      } else {
        std::memcpy(kept.data() + at, from, sector_bytes);
        ++counts.kept;
      }
    }
  }
  unflushed_.clear();
  current_ = durable_;
  return counts;
}

const std::byte *disk_image::older_version(std::uint64_t number) const {
  const auto found = older_.find(number);
  return found == older_.end() ? nullptr : found->second->data();
}

}  // namespace csnap::simulation
