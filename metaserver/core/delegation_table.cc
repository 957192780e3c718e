// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/delegation_table.h"

namespace csnap::core {

bool delegation_table::add(session_id session, volume_id volume, chunk_no chunk) {
  auto &held = held_[session];
  const auto where = of(volume, chunk);
  if (held.size() >= delegations_per_session_max && !held.contains(where)) return false;
  held.insert(where);
  holders_[where].insert(session);
  return true;
}

void delegation_table::remove_holder(const segment &s, session_id session) {
  const auto found = holders_.find(s);
  if (found == holders_.end()) return;
  found->second.erase(session);
  if (found->second.empty()) holders_.erase(found);
}

void delegation_table::drop(session_id session, volume_id volume, chunk_no chunk) {
  const auto found = held_.find(session);
  if (found == held_.end() || found->second.erase(of(volume, chunk)) == 0) return;
  remove_holder(of(volume, chunk), session);
}

void delegation_table::drop_all(session_id session) {
  const auto found = held_.find(session);
  if (found == held_.end()) return;
  for (const auto &s : found->second) remove_holder(s, session);
  held_.erase(found);
}

const std::set<session_id> &delegation_table::holders(volume_id volume, chunk_no chunk) const {
  static const std::set<session_id> nobody;
  const auto found = holders_.find(of(volume, chunk));
  return found == holders_.end() ? nobody : found->second;
}

std::size_t delegation_table::count(session_id session) const {
  const auto found = held_.find(session);
  return found == held_.end() ? 0 : found->second.size();
}

}  // namespace csnap::core
