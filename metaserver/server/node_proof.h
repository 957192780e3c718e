// SPDX-License-Identifier: BSD-3-Clause
//
// Where proof comes from that a vanished node writes no more (rule 13), when its processes cannot be watched:
// from the site's fence command, from an administrator who says so, or, if the site wants that and knows what
// it does, from nothing but time (unsafe: a node that was only paused may write later).
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/server/fence_command.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace csnap::server {

struct node_proof_options {
  std::string command;                                                // empty: none
  std::int64_t unsafe_after_ms = 0;                                   // 0: never
  std::chrono::milliseconds command_limit = std::chrono::minutes(5);  // longer than any device takes to fence
};

class node_proof {
 public:
  using proved = std::function<void(const std::vector<session_id> &)>;
  // `own_node` is never fenced: its processes are watched.
  node_proof(boost::asio::io_context &io, node_proof_options options, std::string own_node, proved dead);

  // To be called now and then, with the sessions as they are. `sessions_now` gives them again later.
  void look(const std::vector<core::session_status> &sessions,
            std::function<std::vector<core::session_status>()> sessions_now, std::int64_t now_ms);
  // An administrator's word: the node writes no more. Errors: not_found (no session of it has expired), busy
  // (one that is not connected still has a lease). Sessions that are connected live, and are not touched.
  result<> confirm(const std::string &node, const std::vector<core::session_status> &sessions);
  // What a site without proof, or with unsafe proof, has to know.
  std::vector<std::string> conditions(const std::vector<core::session_status> &sessions) const;

 private:
  void fence(const std::string &node, const std::vector<core::session_status> &sessions,
             std::function<std::vector<core::session_status>()> sessions_now, std::int64_t now_ms);
  void give_up_by_time(const std::vector<core::session_status> &sessions, std::int64_t now_ms);

  const node_proof_options options_;
  const std::string own_node_;
  const proved dead_;
  fence_command command_;
  std::map<session_id, std::int64_t> expired_since_ms_;
};

}  // namespace csnap::server
