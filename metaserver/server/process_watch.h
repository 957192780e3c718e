// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of death for clients that run under our kernel. A pid alone proves nothing, for it is used again and
// means another process in another pid namespace; pid and start time name one process. A pidfd is taken first
// and compared after, so that the process cannot be exchanged in between.
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/wire/messages.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace csnap::server {

// When the process that has this pid now, as we see processes, was started (/proc/PID/stat, field 22). None
// if that cannot be read, which proves nothing: descriptors may be short, or /proc hidden.
std::optional<std::uint64_t> start_of_process(std::uint32_t pid);

// What a hello that opens a session says about its process is believed only if we see that very process now.
// Otherwise (another pid namespace, perhaps, or another kernel) "it is gone" would be no proof later, not even
// after a restart, so the session is recorded as one whose I/O does not end with its process.
void trust_only_visible_process(wire::hello &said, const unique_id &own_boot);

class process_watch {
 public:
  using on_death = std::function<void(session_id)>;
  // `one_host`: all servers of the store ever run on one host (the election sees to it). Then a process of
  // another boot, which trust_only_visible_process() believed at its time, ended when that host went down.
  process_watch(boost::asio::io_context &io, const unique_id &own_boot, bool one_host, on_death died)
      : io_(io), own_boot_(own_boot), one_host_(one_host), died_(std::move(died)) {}
  process_watch(const process_watch &) = delete;
  process_watch &operator=(const process_watch &) = delete;

  // Only for processes that were believed. Reports from the io_context, never from within this call.
  void watch(const core::watch_process &whom);
  void unwatch(session_id session);

 private:
  struct watched {
    explicit watched(boost::asio::io_context &io) : pidfd(io) {}
    boost::asio::posix::stream_descriptor pidfd;
  };
  void report(session_id session, const std::shared_ptr<watched> &entry);

  boost::asio::io_context &io_;
  const unique_id own_boot_;
  const bool one_host_;
  const on_death died_;
  std::map<session_id, std::shared_ptr<watched>> watched_;
};

}  // namespace csnap::server
