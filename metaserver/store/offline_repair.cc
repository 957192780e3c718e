// SPDX-License-Identifier: BSD-3-Clause
//
// Everything that is written twice: superblocks, and the slots, in which the roots are. Of two copies of a
// superblock any that is valid is right. Of the two blocks of a slot's pair the one with the higher sequence is
// right: the first is durable before the second is written, so the other is damaged, or was not reached.
#include "metaserver/store/offline.h"

#include "metaserver/store/block.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_blocks.h"

namespace csnap::store {
namespace {

class repair {
 public:
  explicit repair(block_device &device) : device_(device) {}

  result<repair_report> run() {
    if (auto done = superblocks(); !done) return done.error();
    const auto found = read_superblock(device_);
    if (!found) return found.error();
    if (found->state != format_state::ready)
      return fail(errc::corrupt, "format or restore of this store was interrupted: run it again");
    if (found->role == static_cast<std::uint8_t>(device_role::data)) return std::move(report_);
    const geometry &g = found->shape;
    const std::uint64_t first = g.slots_offset_bytes / block_bytes;
    for (std::uint64_t block = first; block < first + g.node_count * blocks_per_slot; block += 2)
      if (auto done = slot_pair(g, block); !done) return done.error();
    return std::move(report_);
  }

 private:
  result<> superblocks() {
    std::vector<result<superblock>> copies;
    for (std::uint64_t block = 0; block < superblock_copies; ++block) {
      copies.push_back(read_superblock_copy(device_, block));
      if (!copies.back() && copies.back().error().code == errc::unsupported) return copies.back().error();
    }
    if (copies[0] && copies[1]) {
      // One of them was written by a format or restore that did not get further; which, nobody can tell.
      if (encode_superblock(*copies[0]) != encode_superblock(*copies[1]))
        report_.damaged.push_back("blocks 0 and 1: superblock: two different ones, both valid");
      return {};
    }
    if (!copies[0] && !copies[1]) {
      if (copies[0].error().code == errc::not_found) return copies[0].error();
      return fail(copies[0].error().code, "both superblocks are damaged: " + copies[0].error().text);
    }
    const std::uint64_t good = copies[0] ? 0 : 1;
    const superblock &label = *copies[good];
    for (const device_write &w :
         superblock_writes(label.shape, static_cast<device_role>(label.role), label.state))
      if (w.offset_bytes != good * block_bytes)
        if (auto done = write(w, "superblock", good, copies[1 - good].error().text); !done) return done;
    return {};
  }

  struct copy {
    std::vector<std::byte> bytes = std::vector<std::byte>(block_bytes);
    result<block_header> header = fail(errc::corrupt, "");
  };

  result<> slot_pair(const geometry &g, std::uint64_t first) {
    copy copies[2];
    for (std::uint64_t i = 0; i < 2; ++i) {
      copies[i].header = read_block(device_, g, block_type::slot, first + i, copies[i].bytes);
      if (!copies[i].header && copies[i].header.error().code == errc::unsupported)
        return copies[i].header.error();
    }
    const std::string what =
        "slot of node " + std::to_string((first - g.slots_offset_bytes / block_bytes) / blocks_per_slot);
    const auto &[a, b] = copies;
    if (!a.header && !b.header) {
      report_.damaged.push_back("blocks " + std::to_string(first) + " and " + std::to_string(first + 1) +
                                ": " + what + ": both copies: " + a.header.error().text);
      return {};
    }
    if (a.header && b.header && a.header->sequence == b.header->sequence) return {};
    const std::uint64_t good = !b.header || (a.header && a.header->sequence > b.header->sequence) ? 0 : 1;
    const copy &from = copies[good], &to = copies[1 - good];
    const auto decoded = decode_slot(payload_of(from.bytes, *from.header));
    if (!decoded) {
      report_.damaged.push_back("block " + std::to_string(first + good) + ": " + decoded.error().text);
      return {};
    }
    const std::string why = to.header ? "sequence " + std::to_string(to.header->sequence) +
                                            ", the other has " + std::to_string(from.header->sequence)
                                      : to.header.error().text;
    for (const device_write &w : slot_writes(g, *decoded))
      if (w.offset_bytes == (first + 1 - good) * block_bytes)
        if (auto done = write(w, what, first + good, why); !done) return done;
    return {};
  }

  result<> write(const device_write &w, const std::string &what, std::uint64_t from, const std::string &why) {
    if (auto done = run_writes(device_, std::span(&w, 1), durability::durable); !done) return done;
    report_.repaired.push_back("block " + std::to_string(w.offset_bytes / block_bytes) + ": " + what +
                               ": written from block " + std::to_string(from) + " (" + why + ")");
    return {};
  }

  block_device &device_;
  repair_report report_;
};

}  // namespace

result<repair_report> repair_store(block_device &device) { return repair(device).run(); }

}  // namespace csnap::store
