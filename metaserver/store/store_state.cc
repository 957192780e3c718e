// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/store_state.h"

#include "metaserver/base/check.h"
#include "metaserver/store/block.h"
#include "metaserver/store/page_pointer.h"

#include <algorithm>

namespace csnap::store {

std::uint64_t directory_blocks(const space_map &map) {
  return (map.block_count() + directory_entries_max - 1) / directory_entries_max;
}

store_state::store_state(block_device &device, const geometry &shape_given, std::size_t cache_bytes,
                         const planted_mistakes &planted_given)
    : shape(shape_given),
      planted(planted_given),
      cache(device, shape, cache_bytes, planted),
      pages(shape),
      chunks(shape.chunk_count),
      exceptions(cache, pages, block_type::exception_page, planted),
      catalog_tree(cache, pages, block_type::catalog_page, planted),
      device_(device) {
  chunk_map.blocks.resize(chunks.block_count());
  page_map.blocks.resize(pages.map().block_count());
}

void store_state::set_chunk_count(std::uint64_t count) {
  shape.chunk_count = count;
  chunks.grow(count);
  chunk_map.blocks.resize(chunks.block_count());
}

result<> store_state::load(const root &r, const area_set &areas, term_id writer) {
  if (r.term.counter != 0) {
    if (r.chunk_count < shape.chunk_count ||
        r.chunk_count > std::max(shape.chunk_count, chunk_count_max(shape)))
      return fail(errc::corrupt, "root: chunks: expected " + std::to_string(shape.chunk_count) +
                                     " or more, found " + std::to_string(r.chunk_count));
    if (r.chunk_count > shape.chunk_count) set_chunk_count(r.chunk_count);
    if (auto done = load_map(r.page_map, pages.map(), page_map); !done) return done;
    if (auto done = load_map(r.chunk_map, chunks, chunk_map); !done) return done;
  }
  pages.begin(areas, r.generation + 1, writer);
  exceptions.set_root(r.exceptions);
  catalog_tree.set_root(r.catalog);
  exception_count = r.exception_count;
  catalog.last_snapshot = r.last_snapshot;
  catalog.last_session = r.last_session;
  catalog.last_reservation = r.last_reservation;
  catalog.request_counter = r.request_counter;
  return load_catalog();
}

result<> store_state::load_catalog() {
  auto at = catalog_tree.seek(tree_key{});
  if (!at) return at.error();
  while (!at->at_end()) {
    auto done = catalog.load_entry(at->key(), std::span(at->value(), catalog_value_bytes));
    if (done) done = at->next();
    if (!done) return done;
  }
  catalog.clear_changed();
  cache.trim();
  return {};
}

result<> store_state::load_map(page_pointer first, space_map &map, stored_map &where) {
  std::vector<std::byte> block(block_bytes);
  std::uint64_t index = 0;
  for (page_pointer at = first; !at.is_none();) {
    auto header = read_page(device_, shape, block_type::space_directory, at, block, planted);
    if (!header) return header.error();
    if (header->detail != where.directory.size())
      return damaged(at.block, "index in the directory", where.directory.size(), header->detail);
    if (where.directory.size() == directory_blocks(map))
      return damaged(at.block, "directory blocks at most", directory_blocks(map), where.directory.size() + 1);
    where.directory.push_back(at);
    byte_reader in(payload_of(block, *header));
    const page_pointer next = get_pointer(in);
    while (in.ok() && in.remaining() > 0) {
      const page_pointer entry = get_pointer(in);
      if (!in.ok() || index == map.block_count())
        return damaged(at.block, "map blocks at most", map.block_count(), index + 1);
      where.blocks[index++] = entry;
    }
    if (!in.ok()) return damaged(at.block, "payload a multiple of", pointer_bytes, header->payload_bytes);
    at = next;
  }
  if (!first.is_none() && index != map.block_count())
    return damaged(first.block, "map blocks", map.block_count(), index);
  for (index = 0; index < where.blocks.size(); ++index) {
    const page_pointer at = where.blocks[index];
    if (at.is_none()) continue;
    auto header = read_page(device_, shape, block_type::space_map, at, block, planted);
    if (!header) return header.error();
    if (header->detail != index) return damaged(at.block, "index in the map", index, header->detail);
    if (auto done = map.load_block(index, payload_of(block, *header)); !done) return done;
  }
  return {};
}

}  // namespace csnap::store
