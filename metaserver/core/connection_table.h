// SPDX-License-Identifier: BSD-3-Clause
//
// Who is connected, which requests each peer still waits for, and everything that goes out. A request is
// answered once, on the connection that it came on; what is answered after that connection was lost goes
// nowhere, because the client sends the request again.
#pragma once

#include "metaserver/core/server_core.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace csnap::core {

// Where an answer goes. The session is looked up again by whoever goes on later: it may have ended.
struct requester {
  connection_id from;
  std::uint64_t request{};
  session_id session;  // 0: a tool
};

struct connection {
  wire::client_role role = wire::client_role::tool;
  session_id session;  // 0 for a tool, and before the hello
  bool said_hello{};
  bool welcomed{};
  bool closing{};  // hung up: nothing that still arrives counts
  std::set<std::uint64_t> outstanding;
};

class connection_table {
 public:
  explicit connection_table(term_id term) : term_(term) {}

  // The entry of a connection; the first message makes it.
  connection &of(connection_id id) { return connections_[id]; }
  connection *find(connection_id id);  // null when it is gone or closing
  void forget(connection_id id) { connections_.erase(id); }
  std::vector<connection_id> of_session(session_id session) const;

  // Notes that an answer is owed; false if the peer broke a rule by it (`*why`).
  bool owe(connection_id to, std::uint64_t request, std::string *why);
  void send(connection_id to, wire::message what);
  void reply(connection_id to, std::uint64_t request, wire::message what);
  void hang_up(connection_id who, std::string reason);

  void put(output what);
  std::vector<output> take() { return std::exchange(outputs_, {}); }

 private:
  term_id term_;
  std::map<connection_id, connection> connections_;
  std::vector<output> outputs_;
};

}  // namespace csnap::core
