// SPDX-License-Identifier: BSD-3-Clause
//
// Rot on the metadata device, never on both copies of anything that has two. Whoever reads it must say so; a
// store that is damaged may be refused, but nothing wrong may be served, and the whole metadata must read as
// it does without the damage, or not at all (I12).
#include "metaserver/store/offline.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/formatted_store.h"
#include "tests/simulation/probes.h"

namespace csnap::simulation {
namespace {

std::optional<std::string> dump_of(disk_image image) {
  image_device device(image);
  std::string text;
  const auto done = store::dump_store(device, [&](std::string_view piece) { text += piece; });
  if (!done) return std::nullopt;
  return text;
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

void check_damage(cluster &c) {
  disk_image whole = c.metadata().image;
  bool any_left = false;
  for (auto at = c.damage.rbegin(); at != c.damage.rend(); ++at) {
    std::vector<std::byte> now(store::block_bytes);
    whole.read(at->block * store::block_bytes, now);
    if (now != at->damaged) continue;  // written since
    whole.write(at->block * store::block_bytes, at->original, true);
    any_left = true;
  }
  const auto wanted = dump_of(whole), got = dump_of(c.metadata().image);
  sometimes(probe::damage_was_refused, any_left && wanted && !got);
  sometimes(probe::damage_was_harmless, any_left && wanted && got);
  if (got && wanted && *got != *wanted)
    c.judged->wrong("detected", "damaged metadata reads as something else");
}

}  // namespace csnap::simulation
