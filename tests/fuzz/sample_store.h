// SPDX-License-Identifier: BSD-3-Clause
//
// A small store with a block of every kind, for the targets that damage one.
#pragma once

#include "metaserver/base/check.h"
#include "tests/support/store_model.h"

#include <memory>
#include <vector>

namespace csnap::test {

inline store::geometry fuzz_geometry() {
  store::geometry g = tiny_geometry();
  g.log_blocks = 24;
  g.pages_offset_bytes = g.logs_offset_bytes + g.node_count * g.log_blocks * store::block_bytes;
  g.page_count = 320;
  g.chunk_count = 4000;
  return g;
}

// After a checkpoint, with some records in the log.
inline memory_device make_sample_store() {
  const store::geometry shape = fuzz_geometry();
  memory_device device(shape.pages_offset_bytes + shape.page_count * store::block_bytes);
  make_tiny_store(device, shape);
  auto e = store::engine::take_over(device, {});
  check(e.has_value(), "takeover of an empty store");
  record_source source(11, 4000);
  for (int i = 0; i < 90; ++i) {
    if (!(*e)->has_room() || i == 80) check(run_checkpoint(**e, device).has_value(), "checkpoint");
    const auto done = (*e)->append(source.next(**e));
    check(done || done.error().code == errc::no_space, "append");
    if (i % 2 == 1) check(run_log_batch(**e, device).has_value(), "log");
  }
  check(run_log_batch(**e, device).has_value(), "log");
  device.settle();
  return device;
}

}  // namespace csnap::test
