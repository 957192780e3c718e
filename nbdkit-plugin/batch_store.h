// SPDX-License-Identifier: BSD-3-Clause
//
// The worker's part of a copy-out: a batch whose reads have ended is written to reserved store chunks, made
// durable, and committed - in this order, for the server believes a commit (design, "Origin write").
#pragma once

#include "nbdkit-plugin/chunk_store.h"
#include "nbdkit-plugin/copy_batch.h"
#include "nbdkit-plugin/volume_client.h"

namespace csnap::plugin {

class batch_store {
 public:
  batch_store(volume_id volume, chunk_store &store, volume_client &client, planted_mistakes planted)
      : volume_(volume), store_(store), client_(client), planted_(planted) {}
  // Afterwards each slot without a failure was answered by the server - or it said that the epoch or the
  // session is over, or had no room yet, and the writer begins anew.
  void run(copy_batch &batch);

 private:
  struct copy {
    std::size_t slot;
    client::reserved_chunk target;
  };

  void reserve(copy_batch &batch);
  void pack(copy_batch &batch);
  void write(copy_batch &batch);
  void commit(copy_batch &batch);
  void give_back_all();

  const volume_id volume_;
  chunk_store &store_;
  volume_client &client_;
  const planted_mistakes planted_;
  std::vector<copy> copies_;  // ascending slots; copy i's bytes are moved to i * chunk_bytes by pack()
};

}  // namespace csnap::plugin
