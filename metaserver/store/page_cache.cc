// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/page_cache.h"

#include "metaserver/base/check.h"
#include "metaserver/store/block.h"

#include <algorithm>
#include <cstring>

namespace csnap::store {
namespace {

constexpr std::size_t frames_min = 256;  // less and a single operation would not fit
constexpr std::size_t write_bytes_max = 1u << 20;
constexpr std::uint32_t level_max = 15;

std::string pointer_text(const page_pointer &p) {
  return "generation " + std::to_string(p.generation) + " term " + to_text(p.term);
}

result<> verify_order(const frame &f) {
  for (std::uint32_t i = 1; i < f.count; ++i) {
    // The first key of an inner page counts as minus infinity, whatever it says.
    if (f.level > 0 && i == 1) continue;
    if (std::memcmp(f.entry(i - 1), f.entry(i), key_bytes) >= 0)
      return damaged(f.where.block, "keys out of order at entry", i - 1, i);
  }
  return {};
}

}  // namespace

std::uint32_t entry_bytes_of(block_type type, std::uint32_t level) {
  if (level > 0) return key_bytes + pointer_bytes;
  return key_bytes + (type == block_type::exception_page ? exception_value_bytes : catalog_value_bytes);
}

page_cache::page_cache(block_device &device, const geometry &shape, std::size_t cache_bytes,
                       const planted_mistakes &planted)
    : device_(device),
      shape_(shape),
      planted_(planted),
      capacity_(std::max(cache_bytes / sizeof(frame), frames_min)) {}

result<frame *> page_cache::fetch(page_pointer where, block_type type) {
  if (auto found = by_block_.find(where.block); found != by_block_.end()) {
    frame &f = *found->second;
    if (f.where != where)
      return fail(errc::corrupt, "block " + std::to_string(where.block) + ": two pointers to it, of " +
                                     pointer_text(f.where) + " and of " + pointer_text(where));
    if (f.type != type)
      return damaged(where.block, "type", static_cast<std::uint16_t>(type),
                     static_cast<std::uint16_t>(f.type));
    frames_.splice(frames_.begin(), frames_, found->second);
    return &f;
  }
  const std::uint64_t first = shape_.pages_offset_bytes / block_bytes;
  if (where.block < first || where.block >= first + shape_.page_count)
    return damaged(where.block, "pointer outside of the pages, which begin at", first, where.block);
  std::list<frame> one(1);
  frame &f = one.front();
  auto header = read_page(device_, shape_, type, where, f.block, planted_);
  if (!header) return header.error();
  if (header->detail > level_max) return damaged(where.block, "level at most", level_max, header->detail);
  f.where = where;
  f.type = type;
  f.level = header->detail;
  f.entry_bytes = entry_bytes_of(type, f.level);
  if (header->payload_bytes % f.entry_bytes != 0 || header->payload_bytes == 0)
    return damaged(where.block, "payload a multiple of", f.entry_bytes, header->payload_bytes);
  f.count = header->payload_bytes / f.entry_bytes;
  if (auto ordered = verify_order(f); !ordered) return ordered.error();
  frames_.splice(frames_.begin(), one);
  by_block_[where.block] = frames_.begin();
  return &f;
}

frame &page_cache::add_fresh(page_pointer where, block_type type, std::uint32_t level) {
  check(!by_block_.contains(where.block), "a new page is in the cache already");
  frame &f = frames_.emplace_front();
  f.where = where;
  f.type = type;
  f.level = level;
  f.entry_bytes = entry_bytes_of(type, level);
  f.state = frame_state::fresh;
  ++fresh_count_;
  by_block_[where.block] = frames_.begin();
  return f;
}

void page_cache::forget_state(const frame &f) {
  if (f.state == frame_state::fresh) --fresh_count_;
  if (f.state == frame_state::frozen) --frozen_count_;
}

void page_cache::drop(page_pointer where) {
  auto found = by_block_.find(where.block);
  if (found == by_block_.end()) return;
  forget_state(*found->second);
  frames_.erase(found->second);
  by_block_.erase(found);
}

void page_cache::trim() {
  // The search for clean frames is bounded: what is dirty moves to the front, out of the way.
  std::size_t looked = 0;
  while (frames_.size() > capacity_ && looked < 64) {
    auto last = std::prev(frames_.end());
    if (last->state == frame_state::clean) {
      by_block_.erase(last->where.block);
      frames_.erase(last);
    } else {
      frames_.splice(frames_.begin(), frames_, last);
      ++looked;
    }
  }
}

std::vector<device_write> page_cache::freeze() {
  check(frozen_count_ == 0, "two checkpoints at once");
  std::vector<frame *> fresh;
  for (frame &f : frames_)
    if (f.state == frame_state::fresh) fresh.push_back(&f);
  std::sort(fresh.begin(), fresh.end(), [](frame *a, frame *b) { return a->where.block < b->where.block; });
  std::vector<device_write> writes;
  for (frame *f : fresh) {
    const std::uint32_t used = f->count * f->entry_bytes;
    // Erased entries leave their bytes behind; padding is zero on disk.
    std::fill(f->block.begin() + header_bytes + used, f->block.end(), std::byte{0});
    seal_in_place(f->block, {f->type, f->where.block, shape_.store, f->where.term, f->where.generation, used,
                             f->level});
    f->state = frame_state::frozen;
    const std::uint64_t offset = f->where.block * block_bytes;
    if (writes.empty() || writes.back().offset_bytes + writes.back().bytes.size() != offset ||
        writes.back().bytes.size() >= write_bytes_max)
      writes.push_back({offset, {}});
    writes.back().bytes.insert(writes.back().bytes.end(), f->block.begin(), f->block.end());
  }
  frozen_count_ = fresh.size();
  fresh_count_ = 0;
  return writes;
}

void page_cache::frozen_are_durable() {
  for (frame &f : frames_)
    if (f.state == frame_state::frozen) f.state = frame_state::clean;
  frozen_count_ = 0;
}

}  // namespace csnap::store
