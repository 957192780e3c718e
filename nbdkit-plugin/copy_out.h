// SPDX-License-Identifier: BSD-3-Clause
//
// Copies chunks of one origin volume to the store before they are overwritten.
//
// Each thread reads its own chunks from the origin straight into the batch that gathers; one worker thread
// writes finished batches to the store, flushes once, and commits once. While it does, the next batch
// gathers: the more writers there are, the larger the batches, with no timer. A batch waits for the reads in
// it, and no longer: the worker takes it when it is idle and no read is pending, or when the batch is full.
//
// A chunk is copied once, however many writers want it: the others wait for the batch that has it. Two
// processes may still race for a chunk; then the server's order decides and the loser's copy is dropped.
#pragma once

#include "metaserver/base/block_device.h"
#include "nbdkit-plugin/chunk_store.h"
#include "nbdkit-plugin/copy_batch.h"
#include "nbdkit-plugin/volume_client.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace csnap::plugin {

class copy_out {
 public:
  // Everything referred to must outlive this. Starts the worker thread: not before the last fork.
  copy_out(volume_id volume, std::uint64_t size_bytes, block_device &origin, chunk_store &store,
           volume_client &client, planted_mistakes planted = {});
  // No run() may be under way.
  ~copy_out();
  copy_out(const copy_out &) = delete;
  copy_out &operator=(const copy_out &) = delete;

  // Copies `chunks` (ascending), of which begin_write() said in `epoch` that they are not known unshared.
  // After success the caller asks begin_write() again: the epoch may be over. Errors: io (a copy failed: the
  // snapshot is intact and the origin must not be written), no_space, and those of volume_client.
  result<> run(std::span<const chunk_no> chunks, epoch_id epoch);

 private:
  static constexpr std::size_t batches_max = 4;  // in memory at once; later writers wait for room

  using batch_ptr = std::shared_ptr<copy_batch>;
  struct share {
    batch_ptr batch;
    std::size_t slot;
  };

  // By the writers' threads. All with mutex_ held.
  bool has_room(epoch_id epoch);
  std::size_t join(std::span<const chunk_no> chunks, std::vector<share> &shares);
  void read_joined(std::unique_lock<std::mutex> &lock, const batch_ptr &batch, std::size_t slot,
                   std::size_t count);
  template <class Done>
  result<> wait(std::unique_lock<std::mutex> &lock, Done done);

  // By the worker's thread, without mutex_.
  void work();
  batch_ptr next_batch(std::unique_lock<std::mutex> &lock);
  void finish(const batch_ptr &batch);

  const std::uint64_t size_bytes_;
  const std::uint32_t chunk_bytes_;
  block_device &origin_;
  chunk_store &store_;
  volume_client &client_;
  const volume_id volume_;
  const planted_mistakes planted_;

  std::mutex mutex_;
  std::condition_variable worker_wakes_;
  std::condition_variable finished_;  // a batch is done: its sharers go on, and there is room
  std::unordered_map<chunk_no, share> under_way_;
  batch_ptr gathering_;
  std::deque<batch_ptr> sealed_;                       // the worker's queue, at most batches_max
  std::size_t batches_ = 0;                            // not done yet
  std::vector<std::unique_ptr<copy_buffer>> buffers_;  // to be used again, at most batches_max
  bool stopping_ = false;
  std::thread worker_;
};

}  // namespace csnap::plugin
