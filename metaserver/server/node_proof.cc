// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/node_proof.h"

#include "metaserver/server/log.h"

#include <algorithm>
#include <set>
#include <utility>

namespace csnap::server {
namespace {

using sessions = std::vector<core::session_status>;

sessions expired_of(const sessions &all, const std::string &node) {
  sessions out;
  std::copy_if(all.begin(), all.end(), std::back_inserter(out),
               [&](const core::session_status &s) { return s.expired && s.node == node; });
  return out;
}

// A node with one client that has a lease is no dead node, also when its connection is lost for a moment: its silent
// client is waited for.
std::set<std::string> silent_nodes(const sessions &all) {
  std::set<std::string> silent;
  for (const auto &s : all)
    if (s.expired) silent.insert(s.node);
  for (const auto &s : all)
    if (!s.expired) silent.erase(s.node);
  return silent;
}

}  // namespace

node_proof::node_proof(boost::asio::io_context &io, node_proof_options options, std::string own_node,
                       proved dead)
    : options_(std::move(options)),
      own_node_(std::move(own_node)),
      dead_(std::move(dead)),
      command_(io, options_.command, options_.command_limit) {}

void node_proof::look(const sessions &all, std::function<sessions()> sessions_now, std::int64_t now_ms) {
  if (options_.unsafe_after_ms > 0) give_up_by_time(all, now_ms);
  if (options_.command.empty()) return;
  for (const std::string &node : silent_nodes(all))
    if (node != own_node_ && command_.is_free_for(node, now_ms)) fence(node, all, sessions_now, now_ms);
}

// What was expired before the command began, and still is, had its I/O ended by it. What was opened or came
// back meanwhile is of a node that is up again.
void node_proof::fence(const std::string &node, const sessions &all, std::function<sessions()> sessions_now,
                       std::int64_t now_ms) {
  std::set<session_id> before;
  for (const auto &s : expired_of(all, node)) before.insert(s.id);
  command_.run(node, now_ms, [this, node, before, sessions_now = std::move(sessions_now)] {
    std::vector<session_id> dead;
    for (const auto &s : expired_of(sessions_now(), node))
      if (before.contains(s.id)) dead.push_back(s.id);
    dead_(dead);
  });
}

void node_proof::give_up_by_time(const sessions &all, std::int64_t now_ms) {
  std::map<session_id, std::int64_t> since;
  std::vector<session_id> dead;
  for (const auto &s : all) {
    if (!s.expired) continue;
    const auto known = expired_since_ms_.find(s.id);
    const std::int64_t first = known == expired_since_ms_.end() ? now_ms : known->second;
    if (now_ms - first < options_.unsafe_after_ms) {
      since[s.id] = first;
      continue;
    }
    log(log_level::warning, "UNSAFE: session " + std::to_string(s.id.value) + " of " + s.node +
                                " counts as dead because time has passed; nothing proves it");
    dead.push_back(s.id);
  }
  expired_since_ms_ = std::move(since);
  if (!dead.empty()) dead_(dead);
}

result<> node_proof::confirm(const std::string &node, const sessions &all) {
  std::vector<session_id> dead;
  for (const auto &s : all) {
    if (s.node != node || (s.connected && !s.expired)) continue;
    if (!s.expired)
      return fail(errc::busy, "session " + std::to_string(s.id.value) + " of " + node +
                                  " still has a lease: try again when it has run out");
    dead.push_back(s.id);
  }
  if (dead.empty()) return fail(errc::not_found, "no session of a node '" + node + "' has expired");
  log(log_level::warning, "an administrator says that node " + node + " writes no more");
  dead_(dead);
  return {};
}

std::vector<std::string> node_proof::conditions(const sessions &all) const {
  std::vector<std::string> out;
  if (options_.unsafe_after_ms > 0)
    out.push_back(
        "UNSAFE: sessions count as dead after " + std::to_string(options_.unsafe_after_ms / 1000) +
        " s without proof (--unsafe-dead-after): a node that was paused longer can destroy snapshots");
  std::set<std::string> nodes;
  for (const auto &s : all)
    if (s.expired && s.node != own_node_) nodes.insert(s.node);
  const auto silent = silent_nodes(all);
  for (const std::string &node : nodes) {
    const std::string word = ", say 'csnap fence-confirm " + node + "' on the master's node";
    if (!silent.contains(node))
      out.push_back(
          "a client of node " + node +
          " is gone: the csnap-agent of that node tells when its process has ended; if it surely has" + word);
    else if (options_.command.empty())
      out.push_back("node " + node + " is silent: when it is surely off" + word);
    else out.push_back("node " + node + " is silent: the fence command is asked; if it is surely off" + word);
  }
  return out;
}

}  // namespace csnap::server
