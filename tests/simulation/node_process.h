// SPDX-License-Identifier: BSD-3-Clause
//
// A node: production's data path of the plugin (origin_io, copy_out, batch_store, chunk_store, barrier_drain,
// snapshot_io, difference_io) over a simulated client and disks, and the threads of an NBD server that call it.
// What node and origin_volume do in production around real devices and a client_runtime is done here.
#pragma once

#include "nbdkit-plugin/barrier_drain.h"
#include "nbdkit-plugin/difference_io.h"
#include "nbdkit-plugin/origin_io.h"
#include "nbdkit-plugin/snapshot_io.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/sim_client.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace csnap::simulation {

struct node_setup {
  std::string place;
  std::uint32_t number = 0;
  std::vector<std::string> servers;
  std::vector<disk *> origins;
  disk *store = nullptr;
  std::uint64_t volume_bytes = 0;
  std::uint32_t reserve_chunks = 16;
  std::size_t maps_min = 256;
  bool io_ends_with_process = true;
  bool time_is_monotonic = false;
  std::vector<std::string> planted_in_machine;
  plugin::planted_mistakes planted;
  std::function<void(volume_id)> on_commit;  // of copies, before it is sent; may be empty
  std::function<void()> on_granted;          // chunks came, and nobody has taken them yet; may be empty
};

class node_process {
 public:
  node_process(world &w, network &net, judge &j, process &self, node_setup setup,
               std::function<void()> ready);

  process &self() const { return self_; }
  sim_client &client() { return *client_; }
  bool is_ready() const { return is_ready_; }
  std::uint64_t volume_bytes() const { return setup_.volume_bytes; }
  std::uint32_t chunk_bytes() const { return store_->chunk_bytes(); }
  std::uint32_t number() const { return setup_.number; }
  device &origin(volume_id volume) { return *origins_[volume.value - 1]; }
  plugin::chunk_store &store() { return *store_; }
  bool saw_failed_flush() const;

  result<> write(volume_id volume, const std::function<result<>(plugin::origin_io &)> &op);
  // Every thread has ended: gives everything back and ends.
  bool leave();

 private:
  struct writer {
    plugin::copy_out copies;
    plugin::origin_io io;
    writer(node_process &n, volume_id id)
        : copies(id, n.setup_.volume_bytes, n.origin(id), *n.store_, *n.client_, n.setup_.planted),
          io(id, n.origin(id), n.store_->chunk_bytes(), copies, *n.client_, n.client_->pass_of(id),
             n.setup_.planted) {}
  };
  struct opened_volume {
    bool is_open = false, is_opening = false;
    std::unique_ptr<writer> out;
  };
  void begin();
  result<> ensure_open(volume_id id);

  world &world_;
  network &net_;
  judge &judge_;
  process &self_;
  const node_setup setup_;
  const std::function<void()> ready_;
  device store_device_;
  std::vector<std::unique_ptr<device>> origins_;
  std::unique_ptr<plugin::chunk_store> store_;
  std::unique_ptr<sim_client> client_;
  plugin::barrier_drain drain_;
  std::vector<opened_volume> volumes_;
  bool is_ready_ = false;
};

}  // namespace csnap::simulation
