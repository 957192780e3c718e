// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of death for clients in our own space (process_end.h): what we see of processes elsewhere proves nothing.
// A pidfd is taken first and the start compared after, so that the process cannot be exchanged in between.
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/wire/messages.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace csnap::server {

// Which host this is, for what is said of processes.
struct own_place {
  unique_id space;
  std::string node;
  // All servers of the store ever run on one host (the election sees to it).
  bool one_host{};
};

// What a hello that opens a session says about its process is believed if we see that very process now. In a
// cluster it is also believed of another space: an agent there may see it, we never. Else the session is recorded
// as one whose I/O does not end with its process: "it is gone" would be no proof later, not even after a restart.
void trust_only_visible_process(wire::hello &said, const own_place &own);

class process_watch {
 public:
  using on_death = std::function<void(session_id)>;
  process_watch(boost::asio::io_context &io, own_place own, on_death died)
      : io_(io), own_(std::move(own)), died_(std::move(died)) {}
  process_watch(const process_watch &) = delete;
  process_watch &operator=(const process_watch &) = delete;

  // Only for processes that were believed. On the only host a process of another boot ended when that went
  // down; by the host's name, as the store may have been a cluster's before. Reports from the io_context, never
  // from within this call.
  void watch(const core::watch_process &whom);
  void unwatch(session_id session);

 private:
  struct watched {
    explicit watched(boost::asio::io_context &io) : pidfd(io) {}
    boost::asio::posix::stream_descriptor pidfd;
  };
  void report(session_id session, const std::shared_ptr<watched> &entry);

  boost::asio::io_context &io_;
  const own_place own_;
  const on_death died_;
  std::map<session_id, std::shared_ptr<watched>> watched_;
};

}  // namespace csnap::server
