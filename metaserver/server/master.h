// SPDX-License-Identifier: BSD-3-Clause
//
// A server while it is the master: the engine, the core that decides, the loop that makes its records
// durable, and the clock. It carries messages and events into the core and the core's outputs out, in order.
//
// Single owner: the thread of its environment.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/core/server_core.h"
#include "metaserver/server/commit_loop.h"
#include "metaserver/server/environment.h"
#include "metaserver/server/proof_gate.h"
#include "metaserver/server/status_report.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace csnap::server {

// Where the core's answers go. A connection that is gone by now is no error.
class peers {
 public:
  virtual void send(core::connection_id to, const wire::envelope &what) = 0;
  virtual void hang_up(core::connection_id who, const std::string &reason) = 0;
  // Messages that were refused may be offered again.
  virtual void room_again() = 0;

 protected:
  ~peers() = default;
};

struct master_options {
  server_description about;
  // What else needs attention, for `csnap status`. May be empty.
  std::function<std::vector<std::string>(const std::vector<core::session_status> &)> more_conditions;
  std::function<result<std::uint64_t>()> measure_store;  // bytes of the data device; none: it stays as it is
  bool election_can_split = false;           // then every answer waits for proof of mastership (rule 9)
  std::vector<std::string> planted_in_core;  // for the tests that must find them; off in production
  planted_mistakes planted;
};

// What reports are made of. The engine is the master's.
struct master_view {
  const store::engine &engine;
  core::core_status status;
  server_description about;
  commit_figures work;
};

class master {
 public:
  // The engine has taken the store over. All arguments that are references outlive the master.
  master(server_environment &around, std::unique_ptr<store::engine> engine, block_device &metadata,
         peers &others, master_options options);
  master(const master &) = delete;
  master &operator=(const master &) = delete;

  // False: no room for what it may record; offer it again after room_again().
  bool handle_message(core::connection_id from, const wire::envelope &what);
  void connection_lost(core::connection_id who);
  // Takes nothing any more, commits what was taken, makes the last checkpoint.
  void finish(std::function<void()> finished);
  term_id term() const { return engine_->term(); }
  // Calls `then`, now or later, if this is still the newest master; stops if not. Perhaps not at all when busy.
  void prove(std::function<void()> then);
  std::vector<core::session_status> sessions() const { return core_.status(around_.now()).sessions; }
  // Proof: no I/O of these is in flight, and none will be.
  void sessions_died(const std::vector<session_id> &dead);
  // Proof that came after the takeover: no earlier master can write any more.
  void predecessors_died();
  // For reading only.
  store::engine &engine() { return *engine_; }
  master_view view();

 private:
  void after_input();
  void carry_out(const core::output &what);
  bool answer_report(core::connection_id from, const wire::envelope &what);
  void plan_tick();
  void tick();

  server_environment &around_;
  peers &peers_;
  server_description about_;
  const std::function<std::vector<std::string>(const std::vector<core::session_status> &)> more_conditions_;
  const boottime_ms began_;
  std::unique_ptr<store::engine> engine_;
  core::server_core core_;
  std::optional<proof_gate> proof_;  // where it is needed
  boottime_ms timer_due_{};
  bool tick_posted_ = false;
  int ticks_since_durable_ = 0;
  bool finishing_ = false;
  commit_loop commits_;  // last: it is gone before what it uses
};

}  // namespace csnap::server
