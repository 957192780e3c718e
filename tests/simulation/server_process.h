// SPDX-License-Identifier: BSD-3-Clause
//
// A metadata server: production's master, commit loop, proof gate and standby in the simulated world. What is
// written anew here is what Asio does in production: connections, the worker threads, the timer, and the look
// at other processes.
#pragma once

#include "metaserver/server/master.h"
#include "metaserver/server/standby.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/election_oracle.h"
#include "tests/simulation/frame_stream.h"
#include "tests/simulation/network.h"

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace csnap::simulation {

struct server_setup {
  std::string address;
  std::uint32_t node = 0;
  std::size_t cache_bytes = 1;
  std::vector<std::string> planted_in_core, planted_in_engine;
  server::planted_mistakes planted;
  bool eof_is_death = false;          // planted: a lost connection counts as proof
  bool pid_is_enough = false;         // planted: a process with the same pid of another boot is the same
  bool death_before_io_ends = false;  // planted: a killed process counts as gone with I/O in flight
  bool time_is_wall_clock = false;    // planted
  std::function<void(const wire::envelope &)> on_send;                     // for the checkers
  std::function<void(const wire::map &, const wire::map_reply &)> on_map;  // may be empty
  std::function<void(const wire::reserved &)> on_grant;                    // may be empty
  std::function<void(const store::engine &, const std::string &)> on_log;  // may be empty
  std::function<void(const error &)> on_stop;
  std::function<result<std::uint64_t>()> measure_store;
  std::function<void()> on_unprovable;  // a session was opened whose end nobody can prove
};

class server_process final : server::peers, server::server_environment {
 public:
  server_process(world &w, network &net, election_oracle &election, disk &metadata, process &self,
                 server_setup setup);

  process &self() const { return self_; }
  bool serves() const { return master_ != nullptr; }
  // Takes nothing any more, commits, checkpoints, ends.
  void stop();
  const device &metadata() const { return metadata_; }

 private:
  struct peer {
    core::connection_id id;
    pipe_ptr pipe;
    frame_stream input;
    std::optional<wire::envelope> held;
    session_id session;
  };
  using peer_ptr = std::shared_ptr<peer>;

  void begin();
  void elected();
  void ask_for_proof();
  void accepted(pipe_ptr pipe);
  void work_off(const peer_ptr &from);
  bool received(peer &from, const wire::envelope &what);
  void closed(const peer_ptr &who);

  // peers
  void send(core::connection_id to, const wire::envelope &what) override;
  void hang_up(core::connection_id who, const std::string &reason) override;
  void room_again() override;

  // server_environment
  boottime_ms now() override;
  std::int64_t unix_ms() override;
  std::uint64_t random_bits() override;
  void post(std::function<void()> what) override;
  void set_timer(std::int64_t wait_ms, std::function<void()> what) override;
  void cancel_timer() override;
  void run(server::worker who, std::function<void()> job, std::function<void()> then) override;
  void end_jobs() override {}
  void limit_claims(wire::hello &said) override;
  void watch(const core::watch_process &whom, std::function<void(session_id)> died) override;
  void unwatch(session_id session) override;
  void log(server::log_level level, const std::string &text) override;
  [[noreturn]] void stop_at_once(const std::string &what, const error &why) override;

  world &world_;
  network &net_;
  election_oracle &election_;
  process &self_;
  const server_setup setup_;
  device metadata_;
  prng chance_;
  mailbox box_;
  std::array<mailbox, 3> workers_;
  std::uint64_t timer_number_ = 0;
  std::map<core::connection_id, peer_ptr> peers_;
  std::deque<core::connection_id> waiting_for_room_;
  std::map<std::pair<core::connection_id, std::uint64_t>, wire::map> maps_asked_;
  core::connection_id last_connection_;
  std::map<session_id, std::uint64_t> watched_;
  std::uint64_t last_watch_ = 0;
  std::function<void(session_id)> died_;
  store::geometry shape_;
  std::optional<server::standby> standby_;
  std::unique_ptr<server::master> master_;
  store::engine *engine_ = nullptr;  // the master's
  bool stopping_ = false;
};

}  // namespace csnap::simulation
