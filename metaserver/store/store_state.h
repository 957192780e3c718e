// SPDX-License-Identifier: BSD-3-Clause
//
// The whole state of a store in one place: catalog, index, maps; how a record changes it, how it is loaded
// from a root, and how it becomes pages again. Used by the engine, by recovery, and by `check` and `dump`,
// which only load. Single owner, no locks.
#pragma once

#include "metaserver/store/btree.h"
#include "metaserver/store/catalog_state.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/page_space.h"
#include "metaserver/store/records.h"
#include "metaserver/store/space_map.h"

#include <deque>
#include <optional>
#include <string>

namespace csnap::store {

// Where a map lies on disk: its blocks and its directory chain.
struct stored_map {
  std::vector<page_pointer> blocks;
  std::vector<page_pointer> directory;
};

// What check and dump keep of a store's pages.
inline constexpr std::size_t offline_cache_bytes = 64u << 20;

// How long the directory chain of a map is.
std::uint64_t directory_blocks(const space_map &map);

class store_state {
 public:
  store_state(block_device &device, const geometry &shape, std::size_t cache_bytes,
              const planted_mistakes &planted = {});

  // Reads catalog and maps of `r` (index pages are read when needed) and allows pages to be allocated in
  // `areas`, for `writer`. A root with term counter 0 is the empty store. Errors: io, corrupt, unsupported.
  result<> load(const root &r, const area_set &areas, term_id writer);

  // What is wrong with applying `r` to this state, or nothing. Looks at memory only.
  std::optional<std::string> misfit(const record &r) const;
  // Precondition: it fits. Errors: io, corrupt, no_space (half applied: the state is of no use any more).
  result<> apply(const record &r, record_seq seq);
  // How many pages applying it could take at most. Errors: io, corrupt.
  result<std::uint64_t> pages_needed(const record &r);
  // Records up to here are durable: store chunks that they freed may be given out.
  void release_chunks(record_seq durable);

  // All changes as pages of the current generation, of which `next` then tells.
  result<std::vector<device_write>> write_pages(root &next);
  // Pages that write_pages() could need with no catalog entry changed, and now.
  std::uint64_t pages_for_maps() const { return pages_for_maps_of(chunks); }
  std::uint64_t pages_for_checkpoint() const;

  // As the superblock says, but with as many chunks as the root says, and the records after it.
  geometry shape;
  void set_chunk_count(std::uint64_t count);  // not fewer than before
  const planted_mistakes planted;
  page_cache cache;
  page_space pages;
  space_map chunks;
  catalog_state catalog;
  btree exceptions;
  btree catalog_tree;
  std::uint64_t exception_count = 0;
  stored_map chunk_map, page_map;
  std::uint64_t chunk_search_start = 0;  // next fit: behind the last reservation
  std::deque<std::pair<record_seq, std::uint64_t>> held_chunks;

 private:
  friend struct record_fit;
  friend struct record_applier;
  std::uint64_t pages_for_maps_of(const space_map &chunks_then) const;
  result<> load_catalog();
  result<> load_map(page_pointer first, space_map &map, stored_map &where);
  result<> write_catalog();
  result<> place_maps();
  result<> place(page_pointer &where);
  void emit_map(const space_map &map, const std::vector<std::uint64_t> &held, const stored_map &where,
                std::vector<device_write> &writes) const;

  block_device &device_;
};

inline tree_key exception_key(volume_id volume, chunk_no chunk, snapshot_number number) {
  return tree_key::of(volume.value, chunk.value, number.value);
}
store_chunk place_at(const std::byte *value);

}  // namespace csnap::store
