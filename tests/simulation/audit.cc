// SPDX-License-Identifier: BSD-3-Clause
//
// Looks at the metadata device at one moment, as the next master would: what a server says of a snapshot's place
// must be there already (rule 1), and a slot must stand there twice.
#include "metaserver/store/block.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/formatted_store.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <array>

namespace csnap::simulation {

void audit_map(cluster &c, const wire::map &asked, const wire::map_reply &said) {
  const auto in_store = [](const wire::map_run &run) { return run.kind == wire::place_kind::store; };
  if (c.is_healed || !c.damage.empty() || std::none_of(said.runs.begin(), said.runs.end(), in_store)) return;
  image_device device(c.metadata().image);
  const auto engine = store::engine::open_read_only(device, 1u << 20);
  if (!engine) return c.judged->wrong("audit", "the next master cannot begin: " + engine.error().text);
  sometimes(probe::map_audited);
  chunk_no chunk = asked.first;
  for (const wire::map_run &run : said.runs)
    for (std::uint64_t i = 0; i < run.count; ++i, ++chunk.value) {
      if (!in_store(run)) continue;
      const auto known = (*engine)->find_exception(asked.volume, chunk, asked.number);
      if (!known || !*known || (*known)->place.value != run.first.value + i)
        return c.judged->wrong("audit", "a map shows a place of chunk " + std::to_string(chunk.value) +
                                            " that the next master would not know");
    }
}

// Rule 11; and the sacrifice that made the room is in the same log, before it.
void audit_grant(cluster &c, const wire::reserved &said) {
  if (c.is_healed || !c.damage.empty()) return;
  image_device device(c.metadata().image);
  const auto engine = store::engine::open_read_only(device, 1u << 20);
  if (!engine) return c.judged->wrong("audit", "the next master cannot begin: " + engine.error().text);
  sometimes(probe::grant_audited);
  const auto found = (*engine)->reservations().find(said.id);
  const bool is_known = found != (*engine)->reservations().end() && found->second.first == said.first &&
                        found->second.count == said.count;
  if (!is_known) c.judged->wrong("audit", "chunks are granted that the next master would not know of");
}

void check_mirror_of_newest_slot(cluster &c) {
  image_device device(c.metadata().image);
  const auto label = store::read_label(device);
  const auto slots =
      label ? store::read_all_slots(device, label->shape) : result<std::vector<store::slot>>(label.error());
  if (!slots) return c.judged->wrong("accounting", slots.error().text);
  const auto newest = std::max_element(slots->begin(), slots->end(),
                                       [](const auto &a, const auto &b) { return a.term < b.term; });
  const std::uint64_t first = label->shape.slots_offset_bytes / store::block_bytes +
                              newest->node * store::blocks_per_slot + (newest->sequence % 2) * 2;
  for (const std::uint64_t block : {first, first + 1}) {
    std::array<std::byte, store::block_bytes> bytes;
    (void)device.read(block * store::block_bytes, bytes);
    const auto header = store::open_block(bytes, store::block_type::slot, block, label->shape.store);
    if (!header || header->sequence != newest->sequence)
      c.judged->wrong("accounting", "the newest slot does not stand there twice");
  }
}

}  // namespace csnap::simulation
