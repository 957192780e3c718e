// SPDX-License-Identifier: BSD-3-Clause
//
// What the data path asks of the metadata server's client. The calls of client_machine, but those that may
// have to wait do wait here, for the configured time and no longer than nbdkit wants to live. runtime_client
// is the real one; the unit tests have a scripted one.
#pragma once

#include "metaserver/client/client_machine.h"

#include <span>
#include <string>
#include <vector>

namespace csnap::plugin {

// Errors of all that wait: timed_out, shutting_down (nbdkit ends, or its client hung up), or what the server
// said.
class volume_client {
 public:
  virtual ~volume_client() = default;

  // Never `wait`. After `admitted` the caller writes and calls end_write().
  virtual result<client::write_verdict> begin_write(volume_id volume, chunk_no first,
                                                    std::uint64_t count) = 0;
  virtual void end_write(volume_id volume) = 0;
  // For write_pass: the time that leases are counted in, and its last write ended where a barrier may wait.
  virtual boottime_ms now() = 0;
  virtual void write_drained() = 0;

  // Between 1 and `wanted` chunks; when asked only `briefly`, perhaps none. Errors: also no_space.
  virtual result<std::vector<client::reserved_chunk>> take_reserved(volume_id volume, std::uint32_t wanted,
                                                                    bool briefly) = 0;
  virtual void return_unused(std::span<const client::reserved_chunk> chunks) = 0;
  virtual result<wire::committed> commit(wire::commit what) = 0;

  // Never `wait`.
  virtual result<client::read_plan> begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                               std::uint64_t count) = 0;
  virtual bool finish_read(volume_id volume, snapshot_number number, chunk_no first,
                           const client::read_plan &plan) = 0;
  // What a read plan rests on, for reads that need no plan of their own.
  virtual const client::read_watch &watch() const = 0;
  // Complete from `first` to `next` of the answer.
  virtual result<wire::diff_reply> diff(volume_id volume, snapshot_number older, snapshot_number newer,
                                        chunk_no first) = 0;

  // Polled by whoever waits for something else than the server, about every 100 ms.
  virtual bool interrupted() = 0;
};

// Mistakes that tests plant to see that the checks find them. All false in production.
struct planted_mistakes {
  bool skip_copy_out = false;           // a shared chunk of the origin is overwritten without a copy
  bool no_flush_before_commit = false;  // a copy is committed while it may still be in the device's cache
  bool ignore_copy_error = false;       // a copy that could not be read or written is committed all the same
  bool return_with_io = false;          // a place is given back, for another copy, while it is being written
};

}  // namespace csnap::plugin
