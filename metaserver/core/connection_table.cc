// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/connection_table.h"

namespace csnap::core {

connection *connection_table::find(connection_id id) {
  const auto found = connections_.find(id);
  return found == connections_.end() || found->second.closing ? nullptr : &found->second;
}

std::vector<connection_id> connection_table::of_session(session_id session) const {
  std::vector<connection_id> out;
  for (const auto &[id, peer] : connections_)
    if (peer.session == session && !peer.closing) out.push_back(id);
  return out;
}

bool connection_table::owe(connection_id to, std::uint64_t request, std::string *why) {
  auto &outstanding = of(to).outstanding;
  if (request == 0) *why = "a request without a request id";
  else if (outstanding.size() >= wire::requests_outstanding_max) *why = "too many requests at once";
  else if (!outstanding.insert(request).second) *why = "a request id that is still in use";
  else return true;
  return false;
}

void connection_table::send(connection_id to, wire::message what) {
  if (find(to)) outputs_.emplace_back(core::send{to, wire::envelope{0, term_, std::move(what)}});
}

void connection_table::reply(connection_id to, std::uint64_t request, wire::message what) {
  connection *peer = find(to);
  if (!peer || peer->outstanding.erase(request) == 0) return;
  outputs_.emplace_back(core::send{to, wire::envelope{request, term_, std::move(what)}});
}

void connection_table::hang_up(connection_id who, std::string reason) {
  connection *peer = find(who);
  if (!peer) return;
  peer->closing = true;
  peer->outstanding.clear();
  outputs_.emplace_back(core::hang_up{who, std::move(reason)});
}

void connection_table::put(output what) { outputs_.push_back(std::move(what)); }

}  // namespace csnap::core
