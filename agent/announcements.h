// SPDX-License-Identifier: BSD-3-Clause
//
// The word of election engines: a server of this node tells the agent (`announce`) who is elected, itself or,
// where its engine knows the members of a cluster, the server of another node. A word counts for as long as the
// connection over which it came.
#pragma once

#include "agent/master_source.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstdint>
#include <map>

namespace csnap::agent {

class announcements final : public master_source {
 public:
  explicit announcements(boost::asio::io_context &io) : io_(io) {}
  void start(on_heard heard) override { heard_ = std::move(heard); }
  void look() override {
    boost::asio::post(io_, [this] { heard_(all()); });
  }

  void said(std::uint64_t connection, master_at what) {
    if (what.address.empty()) words_.erase(connection);
    else words_[connection] = std::move(what);
    look();
  }
  void connection_ended(std::uint64_t connection) {
    if (words_.erase(connection) > 0) look();
  }

 private:
  std::vector<master_at> all() const {
    std::vector<master_at> out;
    for (const auto &[connection, word] : words_) out.push_back(word);
    std::sort(out.begin(), out.end(), [](const auto &a, const auto &b) { return a.term > b.term; });
    return out;
  }

  boost::asio::io_context &io_;
  std::map<std::uint64_t, master_at> words_;  // by connection
  on_heard heard_;
};

}  // namespace csnap::agent
