// SPDX-License-Identifier: BSD-3-Clause
//
// The server of an instance, as a process that this agent starts. It does not end with the agent. It keeps a
// locked file open for its whole life, so that an agent that was restarted knows that it runs.
#pragma once

#include "agent/restart_rule.h"
#include "metaserver/base/result.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <string>
#include <vector>

#include <sys/types.h>

namespace csnap::agent {

class server_process {
 public:
  // `command` is the program and its arguments.
  server_process(boost::asio::io_context &io, std::string instance, std::vector<std::string> command,
                 std::string lock_file)
      : instance_(std::move(instance)),
        command_(std::move(command)),
        lock_file_(std::move(lock_file)),
        pidfd_(io),
        retry_(io) {}
  server_process(const server_process &) = delete;
  server_process &operator=(const server_process &) = delete;

  // Runs from now on, or ran already. Errors: unsupported (no command was given), io.
  result<> start();
  std::string state() const { return state_; }  // for people
  bool may_be_started() const { return !command_.empty(); }

 private:
  result<> launch();
  result<pid_t> spawn(int lock) const;
  void watch();
  void ended();

  const std::string instance_;
  const std::vector<std::string> command_;
  const std::string lock_file_;
  boost::asio::posix::stream_descriptor pidfd_;
  boost::asio::steady_timer retry_;
  restart_rule rule_;
  pid_t pid_ = 0;  // 0: no child
  std::string state_;
};

}  // namespace csnap::agent
