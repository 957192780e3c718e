// SPDX-License-Identifier: BSD-3-Clause
//
// The server process: listeners and connections, which are there from start to end, and the role behind them,
// which is standby until the election is won and master from then on. It never goes back: a master that is
// not one any more ends, and what runs it starts it again.
#pragma once

#include "metaserver/device/open_device.h"
#include "metaserver/election/election.h"
#include "metaserver/election/told_election.h"
#include "metaserver/server/announcer.h"
#include "metaserver/server/asio_environment.h"
#include "metaserver/server/connection.h"
#include "metaserver/server/control_socket.h"
#include "metaserver/server/http_listener.h"
#include "metaserver/server/listener.h"
#include "metaserver/server/log.h"
#include "metaserver/server/master.h"
#include "metaserver/server/node_proof.h"
#include "metaserver/server/standby.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace csnap::server {

enum class election_engine { file, pacemaker, corosync };

struct server_options {
  std::string store;
  std::string metadata;  // empty: on the store
  std::string lock;      // for stores that are NBD exports
  std::vector<client::endpoint> listen;
  std::string agent;      // path of this node's agent, which is told who is the master; empty: none
  bool insecure = false;  // plain TCP on addresses that are not loopback
  election_engine election = election_engine::file;
  std::string control;  // path of the control socket; empty: none
  node_proof_options proof;
  std::optional<client::endpoint> http;  // tcp
  std::uint32_t node = 0;
  std::size_t cache_bytes = 64u << 20;
  std::size_t connections_max = wire::connections_max;
  connection_limits limits;
};

class metaserver final : connection_owner, peers {
 public:
  // Opens the store, listens, and becomes a candidate. Errors: one line for the operator.
  static result<std::unique_ptr<metaserver>> start(boost::asio::io_context &io, server_options options);
  ~metaserver();
  // For people who ask the service manager.
  std::string status_line() const;

 private:
  metaserver(boost::asio::io_context &io, server_options options)
      : io_(io), options_(std::move(options)), signals_(io), look_(io) {}
  result<> open_store();
  result<> open_election();
  result<> open_told_election();
  result<> open_corosync();
  result<> open_control();
  result<> listen();
  result<> listen_http();
  std::string address() const { return listeners_.front()->where().text(); }
  const std::string &metadata_name() const {
    return options_.metadata.empty() ? options_.store : options_.metadata;
  }

  void accepted(connection::socket peer);
  void elected(std::uint64_t term_counter);
  void stop(int signal_number);
  // Serves nobody any more, makes everything durable, gives the election up; then this process writes nothing.
  void finish_and_then(std::function<void()> ended);
  void look_every_second();

  // ---- orders (metaserver_orders.cc) ----
  void ordered(const std::string &line, const control_socket::reply &answer);
  std::string own_state() const;
  void verify(const control_socket::reply &answer);
  void inspect(std::uint32_t seconds, const control_socket::reply &answer);
  void promote(bool proven, const control_socket::reply &answer);
  void demote(const control_socket::reply &answer);
  void fence_confirm(const std::string &node, const control_socket::reply &answer);

  bool received(connection &from, const wire::envelope &what) override;
  void closed(connection &who, const std::string &fault) override;
  void send(core::connection_id to, const wire::envelope &what) override;
  void hang_up(core::connection_id who, const std::string &reason) override;
  void room_again() override;

  boost::asio::io_context &io_;
  const server_options options_;
  boost::asio::signal_set signals_;
  std::unique_ptr<opened_device> metadata_;
  store::geometry shape_;
  std::vector<std::unique_ptr<listener>> listeners_;
  std::unique_ptr<http_listener> http_;  // null: not asked for
  std::unordered_map<core::connection_id, std::shared_ptr<connection>> connections_;
  std::deque<core::connection_id> waiting_for_room_;
  core::connection_id last_connection_;
  limited_log peer_log_;
  std::unique_ptr<election> election_;
  told_election *told_ = nullptr;  // the same, where somebody else elects
  std::unique_ptr<control_socket> control_;
  boost::asio::steady_timer look_;
  std::unique_ptr<standby> standby_;
  std::optional<announcer> announcer_;      // of the master
  std::optional<asio_environment> around_;  // of the master
  std::optional<node_proof> proof_;         // for the master
  std::unique_ptr<master> master_;          // null: standby
};

}  // namespace csnap::server
