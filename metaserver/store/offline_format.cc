// SPDX-License-Identifier: BSD-3-Clause
//
// Order of writing: superblocks "in progress", slots, the engine's first terms and roots, superblocks
// "ready", that of the data device first. A crash leaves the old store untouched, or one that says that its
// format was interrupted, or the new store.
#include "metaserver/store/offline.h"

#include "metaserver/base/check.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_writing.h"

namespace csnap::store {

namespace {

// Log, pages, root: after it nothing of the store is in memory only.
result<> persist(engine &e, block_device &metadata) {
  if (const auto batch = e.take_log_batch()) {
    if (auto done = run_writes(metadata, batch->writes, durability::durable); !done) return done;
    e.log_batch_durable();
  }
  const auto pages = e.take_checkpoint();
  if (!pages) return pages.error();
  if (auto done = run_writes(metadata, pages->writes, durability::cached); !done) return done;
  if (auto done = metadata.flush(); !done) return done;
  const root_write root = e.take_root();
  if (auto done = run_writes(metadata, root.writes, durability::durable); !done) return done;
  e.checkpoint_done();
  return {};
}

result<> append(engine &e, block_device &metadata, const record &r) {
  if (!e.has_room() || e.metadata_is_full())
    if (auto done = persist(e, metadata); !done) return done;
  if (auto done = e.append(r); !done) return done.error();
  return {};
}

result<> write_contents(block_device &metadata, const format_request &request) {
  engine_options options;
  options.formatting = true;
  auto e = engine::take_over(metadata, options);
  if (!e) return e.error();
  if (auto done = append(**e, metadata, settings_changed{request.values}); !done) return done;
  volume_info volume;
  volume.when_full = request.when_full;
  for (const auto &origin : request.origins) {
    ++volume.id.value;
    volume.name = origin.name;
    volume.device = origin.device;
    volume.size_bytes = origin.size_bytes;
    if (auto done = append(**e, metadata, volume_added{volume}); !done) return done;
  }
  return persist(**e, metadata);
}

// The first server must find areas that nobody claims, whatever it can prove.
result<> release_areas(block_device &metadata, const geometry &shape) {
  auto own = read_slot(metadata, shape, 0);
  if (!own) return own.error();
  ++own->sequence;
  own->claimed_areas = {};
  return run_writes(metadata, slot_writes(shape, *own), durability::durable);
}

}  // namespace

result<geometry> format_store(block_device &data, block_device *metadata, const format_request &request) {
  const store_devices to{data, metadata ? *metadata : data};
  const auto shape = plan_geometry(request, data.size_bytes(),
                                   metadata ? std::optional(metadata->size_bytes()) : std::nullopt);
  if (!shape) return shape;
  if (auto done = write_superblocks(to, *shape, format_state::in_progress); !done) return done.error();
  if (auto done = write_initial_slots(to.metadata, *shape); !done) return done.error();
  if (auto done = write_contents(to.metadata, request); !done) return done.error();
  if (auto done = release_areas(to.metadata, *shape); !done) return done.error();
  if (auto done = write_superblocks(to, *shape, format_state::ready); !done) return done.error();
  return shape;
}

}  // namespace csnap::store
