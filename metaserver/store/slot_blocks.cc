// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/slot_blocks.h"

#include "metaserver/base/check.h"
#include "metaserver/store/block.h"

#include <algorithm>
#include <optional>

namespace csnap::store {
namespace {

std::uint64_t first_block(const geometry &shape, std::uint32_t node) {
  return shape.slots_offset_bytes / block_bytes + node * blocks_per_slot;
}

// Slots of some nodes, read together; where that fails one by one, so that a bad sector hides one copy only.
class slot_region {
 public:
  slot_region(block_device &device, const geometry &shape, std::uint32_t first_node, std::uint32_t nodes,
              const planted_mistakes &planted)
      : shape_(shape),
        planted_(planted),
        first_node_(first_node),
        bytes_(nodes * blocks_per_slot * block_bytes),
        outcomes_(nodes * blocks_per_slot) {
    const std::uint64_t offset = first_block(shape, first_node) * block_bytes;
    if (device.read(offset, bytes_)) return;
    for (std::size_t i = 0; i < outcomes_.size(); ++i)
      outcomes_[i] =
          device.read(offset + i * block_bytes, std::span(bytes_).subspan(i * block_bytes, block_bytes));
  }

  // The newest valid copy. Errors: io, corrupt, unsupported.
  result<slot> newest_of(std::uint32_t node) const {
    std::optional<slot> newest;
    for (std::uint64_t pair = 0; pair < 2; ++pair) {
      std::optional<error> why;
      bool found = false;
      for (std::uint64_t copy = pair * 2; copy < pair * 2 + 2; ++copy) {
        auto one = decode(node, copy);
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
        return fail(why->code,
                    "slot of node " + std::to_string(node) + ": both copies damaged: " + why->text);
    }
    return *newest;
  }

 private:
  result<slot> decode(std::uint32_t node, std::uint64_t copy) const {
    const std::size_t index = (node - first_node_) * blocks_per_slot + copy;
    if (!outcomes_[index]) return outcomes_[index].error();
    const auto bytes = std::span(bytes_).subspan(index * block_bytes, block_bytes);
    const std::uint64_t block = first_block(shape_, node) + copy;
    auto header = open_block(bytes, block_type::slot, block, shape_.store, planted_);
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

  const geometry &shape_;
  const planted_mistakes planted_;
  std::uint32_t first_node_;
  std::vector<std::byte> bytes_;
  std::vector<result<>> outcomes_;  // by block
};

}  // namespace

std::vector<device_write> slot_writes(const geometry &shape, const slot &s, const planted_mistakes &planted) {
  check(s.node < shape.node_count, "slot of an unknown node");
  std::vector<device_write> writes;
  const auto payload = encode_slot(s);
  for (std::uint64_t copy = (s.sequence % 2) * 2, mirror = 0; mirror < (planted.mirror_not_written ? 1u : 2u);
       ++mirror) {
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
  return slot_region(device, shape, node, 1, {}).newest_of(node);
}

result<std::vector<slot>> read_all_slots(block_device &device, const geometry &shape,
                                         const planted_mistakes &planted) {
  const slot_region region(device, shape, 0, shape.node_count, planted);
  std::vector<slot> slots;
  for (std::uint32_t node = 0; node < shape.node_count; ++node) {
    auto one = region.newest_of(node);
    if (!one) return one.error();
    slots.push_back(std::move(*one));
  }
  return slots;
}

term_id highest_term(const std::vector<slot> &slots) {
  term_id highest;
  for (const slot &s : slots) highest = std::max({highest, s.term, s.newest_root.term});
  return highest;
}

const slot *newest_root_of(const std::vector<slot> &slots, const planted_mistakes &planted) {
  const auto rank = [&](const root &r) {
    return std::pair(planted.root_by_sequence_only ? term_id{} : r.term, r.generation);
  };
  const slot *best = nullptr;
  for (const slot &s : slots) {
    if (s.newest_root.term.counter == 0) continue;
    if (best == nullptr || rank(s.newest_root) > rank(best->newest_root)) best = &s;
  }
  return best;
}

}  // namespace csnap::store
