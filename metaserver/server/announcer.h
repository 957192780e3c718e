// SPDX-License-Identifier: BSD-3-Clause
//
// Tells this node's agent that this server is the master, for as long as it is: the word counts while the
// connection stands. Without an agent it tries again, once a second; nothing waits for it.
#pragma once

#include "metaserver/client/agent_stream.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>

namespace csnap::server {

class announcer {
 public:
  announcer(boost::asio::io_context &io, std::string agent_path, wire::agent::announce word);
  ~announcer();
  announcer(const announcer &) = delete;
  announcer &operator=(const announcer &) = delete;

 private:
  void say();
  void say_later();

  boost::asio::io_context &io_;
  const std::string agent_path_;
  const wire::agent::announce word_;
  std::shared_ptr<client::agent_stream> stream_;
  boost::asio::steady_timer retry_;
  bool has_complained_ = false;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace csnap::server
