// SPDX-License-Identifier: BSD-3-Clause
//
// A connection to a server that says hello, as a tool does: the welcome shows that it is the master, in which
// term and of which store. It stays open: its end, or a ping without an answer, shows that the master is gone. A ping
// also asks of which clients that may be ours the master has lost sight; that their processes have ended it is told.
#pragma once

#include "metaserver/client/client_runtime.h"
#include "metaserver/client/link.h"

#include <functional>
#include <memory>

namespace csnap::agent {

class server_probe {
 public:
  struct events {
    std::function<void(const unique_id &store, term_id)> welcomed;
    std::function<void(term_id)> pinged;
    std::function<void(const std::string &hint)> refused;
    std::function<void(const error &)> failed;
  };
  server_probe(boost::asio::io_context &io, const client::endpoint &where, events e);
  ~server_probe() { close(); }
  server_probe(const server_probe &) = delete;
  server_probe &operator=(const server_probe &) = delete;

  void ping();
  void close() { link_->close(); }  // no callback follows

 private:
  void say_hello();
  void say(wire::message what);
  void received(const wire::envelope &what);
  void tell_who_ended(const wire::process_list &missing);

  const events events_;
  unique_id space_;  // in which we see processes
  std::uint64_t last_request_ = 0;
  bool is_welcome_ = false;
  std::shared_ptr<client::link> link_;
};

}  // namespace csnap::agent
