// SPDX-License-Identifier: BSD-3-Clause
//
// Makes the engine's changes durable, beside the message handling: one worker writes log batches, one writes
// checkpoints, and both report to the owner's thread, which alone touches the engine. While a batch is under
// way further records gather, so that one durable write serves many commits.
//
// A write or flush that fails ends the process on the spot (stop_at_once).
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/base/histogram.h"
#include "metaserver/server/environment.h"
#include "metaserver/server/planted_mistakes.h"
#include "metaserver/store/engine.h"

#include <chrono>
#include <functional>

namespace csnap::server {

// How long it took until the owner heard of it: the device with its flushes, and a checkpoint's wait for the log.
struct commit_figures {
  histogram log_batch_seconds{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5};
  histogram checkpoint_seconds{0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60};
};

class commit_loop {
 public:
  struct events {
    std::function<void(record_seq last)> durable;
    std::function<void()> checkpoint_done;  // there may be room again
  };
  // The first three outlive the loop. Where others may be elected beside this master, each root is followed by
  // a look for a successor: engine::checkpoint_done().
  commit_loop(server_environment &around, store::engine &engine, block_device &metadata, events what_happens,
              planted_mistakes planted = {}, bool others_may_be_elected = false);
  // Waits for the writes that are under way.
  ~commit_loop();
  commit_loop(const commit_loop &) = delete;
  commit_loop &operator=(const commit_loop &) = delete;

  // To be called whenever records may have been appended.
  void kick();
  // Commits what is pending, then makes a last checkpoint. Precondition: nothing is appended any more.
  void finish(std::function<void()> finished);
  const commit_figures &figures() const { return figures_; }

 private:
  enum class checkpoint_stage { none, writing_pages, waiting_for_log, writing_root };

  void start_batch();
  void write_batch(const store::log_batch &batch);
  void batch_written(record_seq last);
  void start_checkpoint();
  void write_pages(const store::checkpoint_pages &pages);
  void pages_written();
  void write_root_when_covered();
  void write_root(const store::root_write &root);
  void look_for_successor();
  void root_written();
  void go_on_finishing();

  server_environment &around_;
  store::engine &engine_;
  block_device &metadata_;
  const events events_;
  const planted_mistakes planted_;
  const bool others_may_be_elected_;
  checkpoint_stage stage_ = checkpoint_stage::none;
  record_seq covers_;               // of the checkpoint under way
  std::function<void()> finished_;  // set: this is the end
  bool last_checkpoint_made_ = false;
  commit_figures figures_;
  std::chrono::steady_clock::time_point checkpoint_began_;
};

}  // namespace csnap::server
