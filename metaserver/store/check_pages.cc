// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/check_pages.h"

#include "metaserver/store/block.h"
#include "metaserver/store/page_cache.h"
#include "metaserver/store/page_pointer.h"

namespace csnap::store {

namespace {

std::string text_of(const tree_key &key) {
  return "(" + std::to_string(key.first()) + ", " + std::to_string(key.second()) + ", " +
         std::to_string(key.third()) + ")";
}

}  // namespace

check_pages::check_pages(block_device &device, const geometry &shape, const root &r, check_findings &findings)
    : device_(device), shape_(shape), root_(r), findings_(findings), used_(shape.page_count) {}

bool check_pages::enter(page_pointer where) {
  const std::uint64_t first = shape_.pages_offset_bytes / block_bytes;
  if (where.block < first || where.block >= first + shape_.page_count) {
    findings_.error("block " + std::to_string(where.block) + ": pointer to it: expected a page from " +
                    std::to_string(first) + " to " + std::to_string(first + shape_.page_count - 1) +
                    ", found " + std::to_string(where.block));
    return false;
  }
  if (used_[where.block - first]) {
    findings_.error("block " + std::to_string(where.block) + ": pointers to it: expected 1, found 2");
    return false;
  }
  used_[where.block - first] = true;
  return true;
}

std::optional<block_header> check_pages::read(page_pointer where, block_type type,
                                              std::span<std::byte> block) {
  ++findings_.report().pages_read;
  auto header = read_page(device_, shape_, type, where, block);
  if (!header) {
    findings_.error(header.error().text);
    return std::nullopt;
  }
  if (header->term > root_.term)
    findings_.error("block " + std::to_string(where.block) + ": term: expected at most " +
                    to_text(root_.term) + ", found " + to_text(header->term));
  return *header;
}

void check_pages::check_keys(std::uint64_t block, std::span<const std::byte> payload, std::size_t entry_bytes,
                             bool is_leaf, const bounds &within) {
  const std::size_t count = payload.size() / entry_bytes;
  std::optional<tree_key> previous = within.low;
  for (std::size_t i = is_leaf ? 0 : 1; i < count; ++i) {
    const tree_key key = tree_key::at(payload.data() + i * entry_bytes);
    const bool in_order = !previous || (i == 0 ? key >= *previous : key > *previous);
    if (!in_order || (within.end && key >= *within.end)) {
      findings_.error("block " + std::to_string(block) + ": key of entry " + std::to_string(i) +
                      ": expected " +
                      (in_order ? "below " + text_of(*within.end) : "above " + text_of(*previous)) +
                      ", found " + text_of(key));
      return;
    }
    previous = key;
  }
}

void check_pages::walk_page(page_pointer where, block_type type, std::optional<std::uint32_t> level,
                            const bounds &within, const entry_receiver &receive) {
  if (!enter(where)) return;
  std::vector<std::byte> block(block_bytes);
  const auto header = read(where, type, block);
  if (!header) return;
  if (header->detail >= tree_depth_max || (level && header->detail != *level)) {
    findings_.error(damaged(where.block, "level", level.value_or(tree_depth_max - 1), header->detail).text);
    return;
  }
  const std::size_t entry_bytes = entry_bytes_of(type, header->detail);
  const auto payload = payload_of(block, *header);
  if (payload.empty() || payload.size() % entry_bytes != 0) {
    findings_.error(damaged(where.block, "payload: a multiple of", entry_bytes, payload.size()).text);
    return;
  }
  const bool is_leaf = header->detail == 0;
  check_keys(where.block, payload, entry_bytes, is_leaf, within);
  for (std::size_t at = 0; at < payload.size(); at += entry_bytes) {
    const tree_key key = tree_key::at(payload.data() + at);
    const auto value = payload.subspan(at + key_bytes, entry_bytes - key_bytes);
    if (is_leaf) {
      receive(key, value);
      continue;
    }
    bounds below = within;
    if (at > 0) below.low = key;
    if (at + entry_bytes < payload.size()) below.end = tree_key::at(payload.data() + at + entry_bytes);
    byte_reader in(value);
    walk_page(get_pointer(in), type, header->detail - 1, below, receive);
  }
}

void check_pages::walk_tree(page_pointer top, block_type type, const entry_receiver &receive) {
  if (!top.is_none()) walk_page(top, type, std::nullopt, {}, receive);
}

// The content of maps is verified where they are loaded; here only where they lie.
void check_pages::walk_map(page_pointer directory) {
  std::vector<std::byte> block(block_bytes);
  while (!directory.is_none()) {
    if (!enter(directory)) return;
    const auto header = read(directory, block_type::space_directory, block);
    if (!header) return;
    byte_reader in(payload_of(block, *header));
    directory = get_pointer(in);
    while (in.ok() && in.remaining() > 0) {
      const page_pointer map_block = get_pointer(in);
      if (!map_block.is_none()) enter(map_block);
    }
  }
}

}  // namespace csnap::store
