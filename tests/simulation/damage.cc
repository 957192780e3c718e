// SPDX-License-Identifier: BSD-3-Clause
//
// Rot on the metadata device, never on both copies of anything that has two. Whoever reads it must say so; a
// store that is damaged may be refused, but nothing wrong may be served, and the whole metadata must read as
// it does without the damage, or not at all (I12).
#include "metaserver/store/block.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/formatted_store.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <array>

namespace csnap::simulation {
namespace {

std::optional<std::string> dump_of(disk_image image) {
  image_device device(image);
  std::string text;
  const auto done = store::dump_store(device, [&](std::string_view piece) { text += piece; });
  if (!done) return std::nullopt;
  return text;
}

// A block of the newest log that a later batch proves to have been complete; 0: there is none. (The last batch
// could be the torn one of a power cut.)
std::uint64_t some_log_block(image_device &device, const store::geometry &shape, prng &chance) {
  const auto slots = store::read_all_slots(device, shape);
  const store::slot *newest = slots ? store::newest_root_of(*slots) : nullptr;
  if (newest == nullptr) return 0;
  const store::root &root = newest->newest_root;
  const std::uint64_t area = shape.logs_offset_bytes / store::block_bytes + root.term.node * shape.log_blocks;
  const auto place = [&](std::uint64_t sequence) { return area + sequence % shape.log_blocks; };
  std::uint64_t begin_of_last = root.log_sequence;
  for (std::uint64_t s = root.log_sequence;; ++s) {
    std::array<std::byte, store::block_bytes> bytes;
    (void)device.read(place(s) * store::block_bytes, bytes);
    const auto header = store::open_block(bytes, store::block_type::log, place(s), shape.store);
    if (!header || header->term != root.term || header->sequence != s) break;
    if (header->detail & store::log_first_of_batch) begin_of_last = s;
  }
  if (begin_of_last == root.log_sequence) return 0;
  return place(root.log_sequence + chance.below(begin_of_last - root.log_sequence));
}

bool has_two_copies(const store::geometry &shape, std::uint64_t block) {
  return block * store::block_bytes < shape.logs_offset_bytes;
}

}  // namespace

void damage_metadata(cluster &c, prng &chance) {
  disk_image &image = c.metadata().image;
  image_device device(image);
  const auto label = store::read_label(device);
  if (!label) return;
  const store::geometry &shape = label->shape;
  const std::uint64_t first_page = shape.pages_offset_bytes / store::block_bytes;
  std::uint64_t block = 0;  // the first superblock
  if (chance.one_in(8)) {
    sometimes(probe::slot_damaged);
    const std::uint64_t pairs = shape.node_count * store::blocks_per_slot / 2;
    block = shape.slots_offset_bytes / store::block_bytes + 2 * chance.below(pairs);  // never the mirror
  } else if (chance.one_in(4)) {
    block = some_log_block(device, shape, chance);
    sometimes(probe::log_damaged, block != 0);
  } else if (!chance.one_in(16)) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      block = first_page + chance.below(shape.page_count);
      if (image.was_written(block)) break;
    }
    sometimes(probe::page_damaged, image.was_written(block));
  }
  std::vector<std::byte> bytes(store::block_bytes);
  image.read(block * store::block_bytes, bytes);
  damaged_block entry{block, bytes, {}};
  bytes[chance.below(bytes.size())] ^= static_cast<std::byte>(1u << chance.below(8));
  entry.damaged = bytes;
  image.write(block * store::block_bytes, bytes, true);
  c.w.say("block %llu of the metadata rots", static_cast<unsigned long long>(block));
  c.damage.push_back(std::move(entry));
}

// What is there instead of what was wanted.
void note_stray_write(cluster &c, std::uint64_t block, std::vector<std::byte> wanted) {
  damaged_block entry{block, std::move(wanted), std::vector<std::byte>(store::block_bytes)};
  c.metadata().image.read(block * store::block_bytes, entry.damaged);
  if (entry.damaged == entry.original) return;
  c.w.say("block %llu of the metadata is not what it should be", static_cast<unsigned long long>(block));
  c.damage.push_back(std::move(entry));
}

void check_named(cluster &c, const error &why) {
  if (why.code != errc::corrupt || c.damage.empty() || !c.options.has(fault::stray_writes)) return;
  const bool names_one = std::any_of(c.damage.begin(), c.damage.end(), [&](const damaged_block &d) {
    return why.text.find("block " + std::to_string(d.block) + ":") != std::string::npos;
  });
  sometimes(probe::stray_write_named, names_one);
  if (!names_one) c.judged->wrong("detected", "a server stops and names no damaged block: " + why.text);
}

void check_damage(cluster &c) {
  disk_image whole = c.metadata().image;
  image_device as_it_is(c.metadata().image);
  const auto label = store::read_label(as_it_is);
  bool any_left = false, any_only_copy = false;
  for (auto at = c.damage.rbegin(); at != c.damage.rend(); ++at) {
    std::vector<std::byte> now(store::block_bytes);
    whole.read(at->block * store::block_bytes, now);
    if (now != at->damaged) continue;  // written since
    whole.write(at->block * store::block_bytes, at->original, true);
    any_left = true;
    any_only_copy = any_only_copy || (label && !has_two_copies(label->shape, at->block));
  }
  const auto wanted = dump_of(whole), got = dump_of(c.metadata().image);
  sometimes(probe::damage_was_refused, any_left && wanted && !got);
  sometimes(probe::damage_was_harmless, any_left && wanted && got);
  if (wanted && !got && !any_only_copy)
    c.judged->wrong("detected", "one damaged copy of two makes the store unreadable");
  if (got && wanted && *got != *wanted)
    c.judged->wrong("detected", "damaged metadata reads as something else");
}

}  // namespace csnap::simulation
