// SPDX-License-Identifier: BSD-3-Clause
//
// A server while it is the master: the engine, the core that decides, the loop that makes its records
// durable, and the clock. It carries messages and events into the core and the core's outputs out, in order.
//
// Single owner: the io_context's thread.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/core/server_core.h"
#include "metaserver/server/commit_loop.h"
#include "metaserver/server/process_watch.h"
#include "metaserver/server/status_report.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>

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

class master {
 public:
  // The engine has taken the store over. All arguments that are references outlive the master.
  master(boost::asio::io_context &io, std::unique_ptr<store::engine> engine, block_device &metadata,
         peers &others, server_description about);
  master(const master &) = delete;
  master &operator=(const master &) = delete;

  // False: no room for what it may record; offer it again after room_again().
  bool handle_message(core::connection_id from, const wire::envelope &what);
  void connection_lost(core::connection_id who);
  // Takes nothing any more, commits what was taken, makes the last checkpoint.
  void finish(std::function<void()> finished);
  term_id term() const { return engine_->term(); }

 private:
  void after_input();
  void carry_out(const core::output &what);
  bool answer_report(core::connection_id from, const wire::envelope &what);
  void plan_tick();
  void tick();

  boost::asio::io_context &io_;
  peers &peers_;
  server_description about_;
  const boottime_ms began_;
  const unique_id own_boot_;
  std::unique_ptr<store::engine> engine_;
  core::server_core core_;
  process_watch processes_;
  boost::asio::steady_timer timer_;
  boottime_ms timer_due_{};
  bool tick_posted_ = false;
  int ticks_since_durable_ = 0;
  bool finishing_ = false;
  commit_loop commits_;  // last: it is gone before what it uses
};

}  // namespace csnap::server
