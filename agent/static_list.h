// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses that somebody typed: servers, one of which is the master.
#pragma once

#include "agent/master_source.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace csnap::agent {

class static_list final : public master_source {
 public:
  static_list(boost::asio::io_context &io, const std::vector<std::string> &addresses) : io_(io) {
    for (const std::string &each : addresses) servers_.push_back({{}, each});
  }
  void start(on_heard heard) override { heard_ = std::move(heard); }
  void look() override {
    boost::asio::post(io_, [this] { heard_(servers_); });
  }

 private:
  boost::asio::io_context &io_;
  std::vector<master_at> servers_;
  on_heard heard_;
};

}  // namespace csnap::agent
