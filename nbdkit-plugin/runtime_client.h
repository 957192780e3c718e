// SPDX-License-Identifier: BSD-3-Clause
//
// The real volume_client: a client_runtime, waiting with the configured timeout. Its session begins when it
// is made, which must be after the last fork.
#pragma once

#include "metaserver/client/client_runtime.h"
#include "nbdkit-plugin/volume_client.h"

#include <chrono>
#include <functional>

namespace csnap::plugin {

class runtime_client final : public volume_client {
 public:
  struct hooks {
    std::function<void()> on_change;                                            // see runtime_options
    std::function<void(std::vector<client::client_machine::drain>)> on_drains;  // must not block
    std::function<bool()> interrupted;
    std::function<void(const std::string &)> log;
  };
  // The master is among `servers`, or the agent finds it.
  runtime_client(std::vector<client::endpoint> servers, std::optional<client::agent_options> agent,
                 bool io_ends_with_process, std::vector<std::string> planted,
                 std::chrono::milliseconds timeout, hooks h);
  // No I/O of the session may be in flight, and none may follow.
  void say_goodbye() { runtime_.stop(true); }

  result<client::write_verdict> begin_write(volume_id volume, chunk_no first, std::uint64_t count) override;
  void end_write(volume_id volume) override;
  boottime_ms now() override { return client::boottime_now(); }
  void write_drained() override;
  result<std::vector<client::reserved_chunk>> take_reserved(volume_id volume, std::uint32_t wanted,
                                                            bool briefly) override;
  void return_unused(std::span<const client::reserved_chunk> chunks) override;
  result<wire::committed> commit(wire::commit what) override;
  result<client::read_plan> begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                       std::uint64_t count) override;
  bool finish_read(volume_id volume, snapshot_number number, chunk_no first,
                   const client::read_plan &plan) override;
  const client::read_watch &watch() const override { return runtime_.watch(); }
  result<wire::diff_reply> diff(volume_id volume, snapshot_number older, snapshot_number newer,
                                chunk_no first) override;
  bool interrupted() override { return hooks_.interrupted(); }

  // The layout of the store, once there is a session.
  result<wire::welcome> welcome();
  result<wire::volume_opened> open_volume(const std::string &name);
  std::shared_ptr<client::write_pass> pass_of(volume_id volume);  // which is open
  result<wire::snapshot_opened> open_snapshot(const std::string &volume, const std::string &snapshot);
  void close_snapshot(volume_id volume, snapshot_number number);
  // For `wait` at most, or the configured timeout when that is shorter.
  result<wire::list_reply> list(const wire::list &what, std::chrono::milliseconds wait);

  // For the thread that flushes the origins when a barrier asks for it.
  std::vector<client::client_machine::drain> take_drains();
  void drained(barrier_id barrier);

 private:
  template <class T>
  result<T> answer_of(client::ticket t);

  const std::chrono::milliseconds timeout_;
  const hooks hooks_;
  client::client_runtime runtime_;  // last: its thread calls the hooks
};

}  // namespace csnap::plugin
