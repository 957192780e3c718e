// SPDX-License-Identifier: BSD-3-Clause
//
// One origin volume of this process: its device, and - from the first write on - the server's leave to write
// it and the machinery for that. Opening an export, listing and reading need no server; so a volume that is
// only read never makes a barrier wait for this node. Thread-safe.
#pragma once

#include "metaserver/device/open_device.h"
#include "nbdkit-plugin/origin_io.h"
#include "nbdkit-plugin/runtime_client.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace csnap::plugin {

class origin_volume {
 public:
  struct setup {
    volume_id id;
    std::string name;
    std::uint64_t size_bytes{};
    std::unique_ptr<opened_device> device;
  };
  explicit origin_volume(setup s) : setup_(std::move(s)) {}

  volume_id id() const { return setup_.id; }
  const std::string &name() const { return setup_.name; }
  std::uint64_t size_bytes() const { return setup_.size_bytes; }
  opened_device &device() { return *setup_.device; }

  // Runs `op` with the writer, which it opens if need be. After an error `gone` the next write opens anew.
  result<> write(runtime_client &client, chunk_store &store, planted_mistakes planted,
                 const std::function<result<>(origin_io &)> &op);
  // No write may be under way: ends the worker thread. True: something may have been written.
  bool stop();

 private:
  struct writer {
    copy_out copies;
    origin_io io;
    writer(const setup &s, chunk_store &store, runtime_client &client, planted_mistakes planted)
        : copies(s.id, s.size_bytes, *s.device, store, client, planted),
          io(s.id, *s.device, store.chunk_bytes(), copies, client, client.pass_of(s.id), planted) {}
  };
  result<> ensure_open(runtime_client &client, chunk_store &store, planted_mistakes planted);

  const setup setup_;
  std::timed_mutex opening_;  // held while the server is asked
  std::atomic<bool> is_open_{false};
  std::unique_ptr<writer> writer_;  // set under opening_, before is_open_; then fixed until stop()
};

}  // namespace csnap::plugin
