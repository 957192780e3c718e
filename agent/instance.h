// SPDX-License-Identifier: BSD-3-Clause
//
// One instance: a store by its name on this node, the search for its master, and the server that may be started
// here. Single owner: the agent's thread.
#pragma once

#include "agent/announcements.h"
#include "agent/master_search.h"
#include "agent/server_probe.h"
#include "agent/server_process.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace csnap::agent {

struct instance_options {
  std::string name;
  std::string device;                     // with the store's metadata; empty: not known here
  std::vector<client::endpoint> servers;  // static list
  std::vector<std::string> command;       // of the server; empty: none is started here
  std::string lock_file;
};

class instance {
 public:
  // `changed`: the master, or which store it is.
  instance(boost::asio::io_context &io, instance_options options, std::function<void()> changed);
  instance(const instance &) = delete;
  instance &operator=(const instance &) = delete;

  const std::string &name() const { return options_.name; }
  const std::optional<unique_id> &store() const { return store_; }
  const std::optional<master_at> &master() const { return search_.master(); }
  std::string trouble() const;
  announcements &announced() { return *announced_; }
  server_process &server() { return server_; }
  const server_process &server() const { return server_; }

 private:
  void heard(std::size_t source, std::vector<master_at> candidates);
  void store_seen(const unique_id &store);
  void input(const std::function<void(master_search &, boottime_ms)> &what);
  void carry_out(const master_search::order &what);
  void open_probe(const std::string &address);
  void drop_probe();
  void arm_timer();

  boost::asio::io_context &io_;
  const instance_options options_;
  const std::function<void()> changed_;
  std::vector<std::unique_ptr<master_source>> sources_;
  announcements *announced_ = nullptr;  // one of them
  master_search search_;
  std::optional<unique_id> store_;
  std::shared_ptr<server_probe> probe_;
  std::string probe_trouble_;
  boost::asio::steady_timer timer_;
  server_process server_;
};

}  // namespace csnap::agent
