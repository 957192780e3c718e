// SPDX-License-Identifier: BSD-3-Clause
//
// The agent of a node: its socket, the local clients on it, and the instances that they ask for. One thread (the
// io_context) owns everything; nothing here waits for a device, a server or a client.
#pragma once

#include "agent/instance.h"
#include "metaserver/client/agent_stream.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/types.h>

namespace csnap::agent {

inline constexpr std::size_t instances_max = 32;  // their health fits a report

class node_agent {
 public:
  static constexpr std::size_t clients_max = 1024;

  // Listens and begins to look for masters. Errors: busy (another agent answers there), exists, refused, io.
  static result<std::unique_ptr<node_agent>> start(boost::asio::io_context &io,
                                                   const std::string &socket_path,
                                                   std::vector<instance_options> instances);
  ~node_agent();
  // Takes nobody any more; the socket file goes.
  void stop();
  // For people who ask the service manager.
  std::string status_line() const;

 private:
  struct local_client {
    std::shared_ptr<client::agent_stream> stream;
    struct ucred who {};
    std::optional<wire::agent::watch> wants;
    const instance *watches = nullptr;  // null: not known yet which
    bool was_told = false;
    std::optional<master_at> told;
  };
  using client_id = std::uint64_t;

  node_agent(boost::asio::io_context &io, std::string socket_path, std::vector<instance_options> instances);
  result<> listen();
  void accept_next();
  void accepted(client::agent_stream::socket peer);
  void ended(client_id id);
  wire::agent::message answer(client_id id, local_client &asker, const wire::agent::message &what);
  wire::agent::message announce(client_id id, const local_client &asker, const wire::agent::announce &what);
  wire::agent::message start_instance(const local_client &asker, const std::string &name);
  // Null: it may be one whose store is not known yet. Errors: not_found, invalid.
  result<instance *> find(const std::string &name, const unique_id &store) const;
  void tell(local_client &whom);
  void tell_all();
  std::string health() const;

  boost::asio::io_context &io_;
  std::string socket_path_;
  ino_t socket_file_ = 0;  // 0: none of ours
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer retry_;
  const boottime_ms began_;
  std::vector<std::unique_ptr<instance>> instances_;
  std::map<client_id, local_client> clients_;
  client_id last_client_ = 0;
};

}  // namespace csnap::agent
