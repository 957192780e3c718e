// SPDX-License-Identifier: BSD-3-Clause
//
// In three steps, each of which needs the one before: superblocks and slots; the newest root with everything
// that it refers to, as it is on disk; the state after the log.
#include "metaserver/store/offline.h"

#include "metaserver/store/block.h"
#include "metaserver/store/check_contents.h"
#include "metaserver/store/check_pages.h"
#include "metaserver/store/recovery.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_blocks.h"

#include <algorithm>

namespace csnap::store {

namespace {

// Replaying may need pages, and takes them in memory only: any will do.
area_set any_area() {
  area_set all;
  all.fill(std::byte{0xff});
  return all;
}

void check_superblocks(block_device &device, check_findings &findings) {
  std::vector<superblock> good;
  for (std::uint64_t block = 0; block < superblock_copies; ++block) {
    const auto found = read_superblock_copy(device, block);
    if (found) {
      good.push_back(*found);
      continue;
    }
    const bool has_magic = found.error().code != errc::not_found;
    findings.error("block " + std::to_string(block) + ": superblock: " +
                   (has_magic ? found.error().text : "magic: expected that of a store, found another"));
  }
  if (good.size() == 2 && encode_superblock(good[0]) != encode_superblock(good[1]))
    findings.error("block 1: superblock: expected the same as in block 0, found another");
}

// A crash while a slot was written leaves one block of a pair torn; what the slot says is in the other.
void check_slot_blocks(block_device &device, const geometry &shape, check_findings &findings) {
  std::vector<std::byte> bytes(block_bytes);
  const std::uint64_t first = shape.slots_offset_bytes / block_bytes;
  for (std::uint64_t block = first; block < first + shape.node_count * blocks_per_slot; ++block)
    if (const auto header = read_block(device, shape, block_type::slot, block, bytes); !header)
      findings.note("slot of node " + std::to_string((block - first) / blocks_per_slot) +
                    ": one copy is damaged (a crash may leave this): " + header.error().text);
}

void compare_page_map(const std::vector<bool> &reached, const space_map &map, const geometry &shape,
                      check_findings &findings) {
  const std::uint64_t first = shape.pages_offset_bytes / block_bytes;
  for (std::uint64_t page = 0; page < reached.size(); ++page)
    if (reached[page] != map.is_busy(page))
      findings.error("block " + std::to_string(first + page) + ": map of pages: expected " +
                     (reached[page] ? "used" : "free") + ", found " +
                     (reached[page] ? "free" : "used: it leaks"));
}

std::string exception_text(const tree_key &key) {
  return "exception (volume " + std::to_string(key.first()) + ", chunk " + std::to_string(key.second()) +
         ", number " + std::to_string(key.third()) + ")";
}

// What is on disk at the root.
void check_root(block_device &device, const geometry &shape, const root &base, check_findings &findings) {
  store_state state(device, shape, offline_cache_bytes);
  const std::size_t errors_before = findings.report().errors.size();
  // What a page of the trees lacks is found again below, with all the others.
  const auto loaded = state.load(base, any_area(), {});
  if (!loaded) findings.error(loaded.error().text);
  check_pages pages(device, shape, base, findings);
  chunk_owners owners(state.shape.chunk_count, findings);
  std::uint64_t count = 0;
  pages.walk_tree(base.exceptions, block_type::exception_page,
                  [&](const tree_key &key, std::span<const std::byte> value) {
                    ++count;
                    const store_chunk place = place_at(value.data());
                    if (!place.is_zero()) owners.add(place, exception_text(key));
                  });
  if (count != base.exception_count)
    findings.error("root: exceptions: expected " + std::to_string(base.exception_count) + ", found " +
                   std::to_string(count));
  pages.walk_tree(base.catalog, block_type::catalog_page, [](const tree_key &, auto) {});
  pages.walk_map(base.chunk_map);
  pages.walk_map(base.page_map);
  // Behind what cannot be read, used pages and chunks would all look as if they leaked.
  if (findings.report().errors.size() != errors_before)
    return findings.note("the maps were not compared, since not everything that they describe could be read");
  compare_page_map(pages.used(), state.pages.map(), state.shape, findings);
  owners.add_reserved(state.catalog.reservations);
  owners.compare(state.chunks, "as of the root");
}

// The state after the log, which a master would go on from.
result<> check_replayed(store_state &state, check_findings &findings) {
  check_report &report = findings.report();
  check_catalog(state.catalog, state.shape, findings);
  chunk_owners owners(state.shape.chunk_count, findings);
  std::map<std::uint32_t, std::uint64_t> by_volume;
  auto at = state.exceptions.seek(tree_key{});
  while (at && !at->at_end()) {
    const tree_key key = at->key();
    const std::span value(at->value(), exception_value_bytes);
    check_exception(key, value, state.catalog, state.shape, findings);
    const store_chunk place = place_at(value.data());
    if (!place.is_zero()) owners.add(place, exception_text(key)), ++report.chunks_owned;
    ++by_volume[key.first()];
    ++report.exceptions;
    if (auto done = at->next(); !done) return done;
    // A cursor is good until the cache is trimmed: find the place again now and then.
    if (report.exceptions % 4096 == 0 && !at->at_end()) {
      const tree_key next = at->key();
      state.cache.trim();
      at = state.exceptions.seek(next);
    }
  }
  if (!at) return at.error();
  owners.add_reserved(state.catalog.reservations);
  owners.compare(state.chunks, "after the log");
  report.chunks_reserved = state.catalog.chunks_reserved;
  report.chunks_free = state.shape.chunk_count - state.chunks.busy_count();
  for (const auto &[id, volume] : state.catalog.volumes)
    if (const auto counted = state.catalog.detail(id).exception_count; counted != by_volume[id.value])
      findings.error("volume " + std::to_string(id.value) + ": exceptions: expected " +
                     std::to_string(counted) + ", found " + std::to_string(by_volume[id.value]));
  return {};
}

result<> check_all(block_device &metadata, check_findings &findings) {
  check_superblocks(metadata, findings);
  const auto found = read_label(metadata);
  if (!found) return found.error();
  if (found->role == device_role::data)
    return fail(errc::invalid, "this device holds chunks only: give the metadata device");
  check_slot_blocks(metadata, found->shape, findings);
  const auto slots = read_all_slots(metadata, found->shape);
  if (!slots) return slots.error();
  for (const slot &one : *slots) findings.report().term = std::max(findings.report().term, one.term);
  const slot *newest = newest_root_of(*slots);
  if (newest == nullptr) {
    findings.note("the store has no root: no server ever ran");
    return {};
  }
  const std::size_t errors_before = findings.report().errors.size();
  check_root(metadata, found->shape, newest->newest_root, findings);
  // Replaying onto damaged pages could only repeat what was found.
  if (findings.report().errors.size() != errors_before) return {};
  auto after_log = recover(metadata, found->shape, *slots, {}, any_area(), offline_cache_bytes);
  if (!after_log) return after_log.error();
  findings.report().log_records = after_log->log_records;
  return check_replayed(*after_log->state, findings);
}

}  // namespace

check_report check_store(block_device &metadata) {
  check_report report;
  check_findings findings(report);
  const auto done = check_all(metadata, findings);
  if (!done) findings.error(done.error().text);
  return report;
}

}  // namespace csnap::store
