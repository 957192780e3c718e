// SPDX-License-Identifier: BSD-3-Clause
//
// The volume_client of a simulated node: production's client_machine with a connection of the simulated
// network and callers that wait in virtual time. It does what client_runtime and runtime_client do with Asio
// and real threads: finds the master, follows hints, backs off, renews, gives up a silent peer.
#pragma once

#include "metaserver/client/client_machine.h"
#include "nbdkit-plugin/volume_client.h"
#include "tests/simulation/frame_stream.h"
#include "tests/simulation/network.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace csnap::simulation {

struct client_setup {
  std::string place;  // for the network
  std::vector<std::string> servers;
  client::machine_options machine;
  bool time_is_monotonic = false;  // planted: the lease stands still while the machine sleeps
  std::function<void()> on_change;
  std::function<void(std::vector<client::client_machine::drain>)> on_drains;
  std::function<void(const wire::envelope &)> on_message;  // for the checkers
};

class sim_client final : public plugin::volume_client {
 public:
  sim_client(world &w, network &net, process &owner, client_setup setup);

  result<client::write_verdict> begin_write(volume_id volume, chunk_no first, std::uint64_t count) override;
  void end_write(volume_id volume) override;
  boottime_ms now() override;
  void write_drained() override;
  result<std::vector<client::reserved_chunk>> take_reserved(volume_id volume, std::uint32_t wanted,
                                                            bool briefly) override;
  void return_unused(std::span<const client::reserved_chunk> chunks) override;
  result<wire::committed> commit(wire::commit what) override;
  result<client::read_plan> begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                       std::uint64_t count) override;
  bool finish_read(volume_id volume, snapshot_number number, chunk_no first,
                   const client::read_plan &plan) override;
  const client::read_watch &watch() const override { return machine_.watch(); }
  result<wire::diff_reply> diff(volume_id volume, snapshot_number older, snapshot_number newer,
                                chunk_no first) override;
  bool interrupted() override { return false; }

  result<wire::volume_opened> open_volume(const std::string &name);
  std::shared_ptr<client::write_pass> pass_of(volume_id volume) { return machine_.pass_of(volume); }
  result<wire::snapshot_opened> open_snapshot(const std::string &volume, const std::string &snapshot);
  void close_snapshot(volume_id volume, snapshot_number number);
  result<wire::list_reply> list(const wire::list &what);
  std::vector<client::client_machine::drain> take_drains();
  void drained(barrier_id barrier);
  // No I/O is in flight and none follows. False: it was not answered in time.
  bool say_goodbye(nanoseconds patience);
  std::function<bool(const wire::commit &)> before_commit;  // for the checkers

 private:
  void connect();
  void opened(pipe_ptr made);
  void received(std::span<const std::byte> bytes);
  void lost();
  void pump();
  void tick();
  void wake_all();
  template <class T>
  T wait_until(const std::function<std::optional<T>()> &attempt);
  template <class T>
  result<T> answer_of(client::ticket t);

  world &world_;
  network &net_;
  process &owner_;
  const client_setup setup_;
  prng chance_;
  mailbox box_;
  client::client_machine machine_;
  pipe_ptr connection_;
  frame_stream input_;
  std::string hint_;
  std::size_t next_server_ = 0;
  int hints_followed_ = 0;
  nanoseconds backoff_ = 0;
  nanoseconds up_since_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t tick_number_ = 0;
  boottime_ms tick_at_;
  bool pump_posted_ = false;
  std::vector<fiber *> waiters_;
};

}  // namespace csnap::simulation
