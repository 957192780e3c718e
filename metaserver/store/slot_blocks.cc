// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/slot_blocks.h"

#include "metaserver/base/check.h"
#include "metaserver/store/block.h"

#include <optional>

namespace csnap::store {
namespace {

std::uint64_t first_block(const geometry &shape, std::uint32_t node) {
  return shape.slots_offset_bytes / block_bytes + node * blocks_per_slot;
}

result<slot> read_copy(block_device &device, const geometry &shape, std::uint32_t node, std::uint64_t copy) {
  std::vector<std::byte> bytes(block_bytes);
  const std::uint64_t block = first_block(shape, node) + copy;
  auto header = read_block(device, shape, block_type::slot, block, bytes);
  if (!header) return header.error();
  auto decoded = decode_slot(payload_of(bytes, *header));
  if (!decoded)
    return fail(decoded.error().code, "block " + std::to_string(block) + ": " + decoded.error().text);
  if (decoded->node != node || header->detail != node)
    return damaged(block, "slot of node", node, decoded->node);
  if (decoded->sequence != header->sequence || decoded->sequence % 2 != copy / 2)
    return damaged(block, "slot sequence", header->sequence, decoded->sequence);
  return decoded;
}

}  // namespace

std::vector<device_write> slot_writes(const geometry &shape, const slot &s) {
  check(s.node < shape.node_count, "slot of an unknown node");
  std::vector<device_write> writes;
  const auto payload = encode_slot(s);
  for (std::uint64_t copy = (s.sequence % 2) * 2, mirror = 0; mirror < 2; ++mirror) {
    block_header header;
    header.type = block_type::slot;
    header.block = first_block(shape, s.node) + copy + mirror;
    header.store = shape.store;
    header.term = s.term;
    header.sequence = s.sequence;
    header.detail = s.node;
    writes.push_back({header.block * block_bytes, seal_block(header, payload)});
  }
  return writes;
}

std::vector<device_write> initial_slot_writes(const geometry &shape, std::uint32_t node) {
  slot s;
  s.node = node;
  auto writes = slot_writes(shape, s);
  s.sequence = 1;
  for (device_write &w : slot_writes(shape, s)) writes.push_back(std::move(w));
  return writes;
}

result<slot> read_slot(block_device &device, const geometry &shape, std::uint32_t node) {
  std::optional<slot> newest;
  for (std::uint64_t pair = 0; pair < 2; ++pair) {
    std::optional<error> why;
    bool found = false;
    for (std::uint64_t copy = pair * 2; copy < pair * 2 + 2; ++copy) {
      auto one = read_copy(device, shape, node, copy);
      if (!one) {
        // A newer format is no damage: its mirror must not be taken for the state.
        if (one.error().code == errc::unsupported) return one.error();
        if (!why || one.error().code == errc::io) why = one.error();
        continue;
      }
      found = true;
      if (!newest || one->sequence > newest->sequence) newest = std::move(*one);
    }
    if (!found)
      return fail(why->code, "slot of node " + std::to_string(node) + ": both copies damaged: " + why->text);
  }
  return *newest;
}

result<std::vector<slot>> read_all_slots(block_device &device, const geometry &shape) {
  std::vector<slot> slots;
  for (std::uint32_t node = 0; node < shape.node_count; ++node) {
    auto one = read_slot(device, shape, node);
    if (!one) return one.error();
    slots.push_back(std::move(*one));
  }
  return slots;
}

const slot *newest_root_of(const std::vector<slot> &slots) {
  const slot *best = nullptr;
  for (const slot &s : slots) {
    if (s.newest_root.term.counter == 0) continue;
    if (best == nullptr || std::pair(s.newest_root.term, s.newest_root.generation) >
                               std::pair(best->newest_root.term, best->newest_root.generation))
      best = &s;
  }
  return best;
}

}  // namespace csnap::store
