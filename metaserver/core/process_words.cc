// SPDX-License-Identifier: BSD-3-Clause
//
// The word of a node's agent that processes of its node have ended. It sees what the server's owner cannot: another
// kernel, another pid namespace. Pid and start name one process in their space and no other, for ever, so a word
// that comes late, or twice, says nothing wrong.
#include "metaserver/core/server_impl.h"

#include <algorithm>

namespace csnap::core {

namespace {

// Zero: a process that nobody can see. And where I/O outlives its process, the end of that proves nothing.
bool is_provable(const store::session_info &info) {
  return info.io_ends_with_process && info.boot != unique_id{};
}

}  // namespace

// Of the others the server would be told by their connections.
void server_core::impl::on(const requester &who, const wire::processes &m) {
  if (who.session.value != 0) return breach(who, "a question for processes by a session");
  wire::process_list out;
  for (const auto &[id, s] : sessions_.all()) {
    const auto &info = engine_.sessions().at(id);
    if (is_provable(info) && info.boot == m.boot && !s.reachable() && out.entries.size() < wire::sessions_max)
      out.entries.push_back({info.pid, info.process_start});
  }
  answer(who, std::move(out));
}

void server_core::impl::on(const requester &who, const wire::processes_ended &m) {
  if (who.session.value != 0) return breach(who, "a word on processes by a session");
  const auto has_ended = [&](const store::session_info &info) {
    return is_provable(info) && info.boot == m.boot &&
           std::any_of(m.entries.begin(), m.entries.end(), [&](const wire::process_entry &e) {
             return e.pid == info.pid && e.process_start == info.process_start;
           });
  };
  std::vector<session_id> ended;
  for (const auto &[id, s] : sessions_.all())
    if (has_ended(engine_.sessions().at(id))) ended.push_back(id);
  for (const session_id id : ended) {
    const auto &info = engine_.sessions().at(id);
    connections_.put(log_line{false, "session " + std::to_string(id.value) + " of " + info.node + " (pid " +
                                         std::to_string(info.pid) +
                                         ") ends: an agent saw the end of its process"});
    end_session(id);
  }
  answer(who, wire::done{});
}

}  // namespace csnap::core
