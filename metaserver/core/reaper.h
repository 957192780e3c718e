// SPDX-License-Identifier: BSD-3-Clause
//
// Frees what only dead snapshots needed: bounded steps, each one record, over one volume after the other. A
// volume is done when no dead snapshot is left in its catalog; the cursor and the passes are in the store, so
// a restart goes on where the last durable step ended.
#pragma once

#include "metaserver/core/server_core.h"

#include <deque>

namespace csnap::core {

class reaper {
 public:
  reaper(store::engine &engine, std::size_t batch);

  void snapshot_died(volume_id volume);
  bool has_work() const { return !volumes_.empty(); }
  // One step. Errors: as engine.plan_reap() and engine.append(): the engine must not be used any more.
  result<> step();
  reaper_status status() const;

 private:
  bool has_dead_snapshots(volume_id volume) const;

  store::engine &engine_;
  std::size_t batch_;
  std::deque<volume_id> volumes_;  // with dead snapshots; the first is being worked on
  std::uint64_t removed_ = 0;
};

}  // namespace csnap::core
