// SPDX-License-Identifier: BSD-3-Clause
//
// A checkpoint's pages: changed catalog entries go into their tree, then the maps get their new places
// (which changes the map of pages itself, so that is repeated until nothing moves), then all is sealed.
#include "metaserver/base/check.h"
#include "metaserver/store/block.h"
#include "metaserver/store/page_pointer.h"
#include "metaserver/store/store_state.h"

#include <algorithm>

namespace csnap::store {
namespace {

constexpr std::uint64_t slack_pages = 16;  // new tree levels, the first pages of an empty store
constexpr std::uint64_t pages_per_exception = 3;

}  // namespace

std::uint64_t store_state::pages_for_maps_of(const space_map &chunks_then) const {
  return chunks_then.block_count() + pages.map().block_count() + directory_blocks(chunks_then) +
         directory_blocks(pages.map()) + slack_pages;
}

std::uint64_t store_state::pages_for_checkpoint() const {
  return pages_for_maps() + 2 * catalog.changed().size();
}

result<std::uint64_t> store_state::pages_needed(const record &r) {
  if (const auto *added = std::get_if<exceptions_added>(&r))
    return pages_per_exception * added->entries.size() + slack_pages;
  if (const auto *grown = std::get_if<store_grown>(&r)) {
    space_map larger = chunks;
    larger.grow(grown->chunk_count);
    return pages_for_maps_of(larger) - pages_for_maps() + slack_pages;
  }
  const auto *reap = std::get_if<reaped>(&r);
  if (reap == nullptr) return slack_pages;
  std::uint64_t leaves = 0;
  const tree_key end = tree_key::of(reap->volume.value, reap->end.value, 0);
  auto at = exceptions.seek(tree_key::of(reap->volume.value, reap->first.value, 0));
  while (at && !at->at_end() && at->key() < end) {
    ++leaves;
    if (auto done = at->next_leaf(); !done) return done.error();
  }
  if (!at) return at.error();
  // Each leaf is copied, now and then a neighbour that it merges with, and the pages above.
  return leaves + leaves / 4 + slack_pages;
}

result<> store_state::write_catalog() {
  for (const tree_key &key : catalog.changed()) {
    const auto value = catalog.encode_entry(key);
    if (value.empty()) {
      auto erased = catalog_tree.erase(key);
      if (!erased) return erased.error();
      continue;
    }
    auto put = catalog_tree.put(key, value);
    if (!put) return put.error();
  }
  catalog.clear_changed();
  return {};
}

result<> store_state::place(page_pointer &where) {
  if (!where.is_none()) pages.free(where);
  auto fresh = pages.allocate();
  if (!fresh) return fresh.error();
  where = *fresh;
  return {};
}

result<> store_state::place_maps() {
  const std::size_t chunk_directory = directory_blocks(chunks),
                    page_directory = directory_blocks(pages.map());
  if (chunks.has_changed() || chunk_map.directory.size() != chunk_directory) {
    for (std::uint64_t i = 0; i < chunks.block_count(); ++i)
      if (chunks.is_changed(i))
        if (auto done = place(chunk_map.blocks[i]); !done) return done;
    chunk_map.directory.resize(chunk_directory);
    for (page_pointer &p : chunk_map.directory)
      if (auto done = place(p); !done) return done;
  }
  page_map.directory.resize(page_directory);
  for (page_pointer &p : page_map.directory)
    if (auto done = place(p); !done) return done;
  for (bool moved = true; moved;) {
    moved = false;
    for (std::uint64_t i = 0; i < pages.map().block_count(); ++i) {
      if (!pages.map().is_changed(i) || pages.is_fresh(page_map.blocks[i])) continue;
      if (auto done = place(page_map.blocks[i]); !done) return done;
      moved = true;
    }
  }
  return {};
}

void store_state::emit_map(const space_map &map, const std::vector<std::uint64_t> &held,
                           const stored_map &where, std::vector<device_write> &writes) const {
  const auto emit = [&](block_type type, page_pointer at, std::uint64_t index,
                        std::span<const std::byte> payload) {
    block_header header{
        type, at.block, shape.store, at.term, at.generation, 0, static_cast<std::uint32_t>(index)};
    writes.push_back({at.block * block_bytes, seal_block(header, payload)});
  };
  // `held` is sorted: what the disk calls free and memory does not.
  auto unit = held.begin();
  for (std::uint64_t i = 0; i < where.blocks.size(); ++i) {
    if (!map.is_changed(i)) continue;
    auto payload = map.payload_of_block(i);
    unit = std::lower_bound(unit, held.end(), i * space_map_bits);
    for (; unit != held.end() && *unit < (i + 1) * space_map_bits; ++unit) {
      const std::uint64_t bit = *unit % space_map_bits;
      payload[bit / 8] &= ~static_cast<std::byte>(1u << (bit % 8));
    }
    emit(block_type::space_map, where.blocks[i], i, payload);
  }
  if (!pages.is_fresh(where.directory.front())) return;
  for (std::size_t d = 0; d < where.directory.size(); ++d) {
    byte_writer payload;
    const page_pointer next = d + 1 < where.directory.size() ? where.directory[d + 1] : page_pointer{};
    put_pointer(payload, next);
    const std::size_t begin = d * directory_entries_max;
    for (std::size_t i = begin; i < std::min(begin + directory_entries_max, where.blocks.size()); ++i)
      put_pointer(payload, where.blocks[i]);
    emit(block_type::space_directory, where.directory[d], d, payload.bytes());
  }
}

result<std::vector<device_write>> store_state::write_pages(root &next) {
  if (auto done = write_catalog(); !done) return done.error();
  if (auto done = place_maps(); !done) return done.error();

  std::vector<std::uint64_t> held_chunk_numbers, held_pages = pages.held();
  for (const auto &[seq, chunk] : held_chunks) held_chunk_numbers.push_back(chunk);
  std::sort(held_chunk_numbers.begin(), held_chunk_numbers.end());
  std::sort(held_pages.begin(), held_pages.end());

  auto writes = cache.freeze();
  emit_map(chunks, held_chunk_numbers, chunk_map, writes);
  emit_map(pages.map(), held_pages, page_map, writes);
  chunks.clear_changed();
  pages.map().clear_changed();

  next.term = pages.term();
  next.generation = pages.generation();
  next.exceptions = exceptions.root();
  next.catalog = catalog_tree.root();
  next.chunk_map = chunk_map.directory.front();
  next.page_map = page_map.directory.front();
  next.exception_count = exception_count;
  next.last_snapshot = catalog.last_snapshot;
  next.last_session = catalog.last_session;
  next.last_reservation = catalog.last_reservation;
  next.request_counter = catalog.request_counter;
  next.chunk_count = shape.chunk_count;
  pages.checkpoint_taken();
  return writes;
}

}  // namespace csnap::store
