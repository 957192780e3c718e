// SPDX-License-Identifier: BSD-3-Clause
//
// Runs the site's fence command for a node: success means that the node's I/O has ended, by whatever means.
// One at a time for a node; one that hangs is killed, and proves nothing. After a failure a node is left alone
// for a while.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <sys/types.h>

namespace csnap::server {

class fence_command {
 public:
  // `command` is a line for the shell; the node's name is its last argument.
  fence_command(boost::asio::io_context &io, std::string command, std::chrono::milliseconds limit)
      : io_(io), command_(std::move(command)), limit_(limit) {}
  fence_command(const fence_command &) = delete;
  fence_command &operator=(const fence_command &) = delete;

  // May the command be run for this node now?
  bool is_free_for(const std::string &node, std::int64_t now_ms) const;
  // Precondition: is_free_for(). Calls back from the io_context when the command succeeded, never if it failed.
  void run(const std::string &node, std::int64_t now_ms, std::function<void()> fenced);

  static constexpr std::int64_t pause_after_failure_ms = 15000;
  static constexpr std::size_t running_max = 16;

 private:
  struct running {
    running(boost::asio::io_context &io, pid_t process, int fd) : child(process), pidfd(io, fd), limit(io) {}
    pid_t child;  // and the number of its process group
    boost::asio::posix::stream_descriptor pidfd;
    boost::asio::steady_timer limit;
  };
  void ended(const std::string &node, int status, const std::function<void()> &fenced);

  boost::asio::io_context &io_;
  const std::string command_;
  const std::chrono::milliseconds limit_;
  std::map<std::string, std::unique_ptr<running>> running_;
  std::map<std::string, std::int64_t> begun_ms_;
};

}  // namespace csnap::server
