// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/session_table.h"

#include <algorithm>

namespace csnap::core {

bool session::may_write_any(std::span<const volume_id> volumes) const {
  return std::any_of(volumes.begin(), volumes.end(), [&](volume_id v) { return may_write(v); });
}

session *session_table::find(session_id id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

std::vector<session *> session_table::writers_of(std::span<const volume_id> volumes) {
  std::vector<session *> out;
  for (auto &[id, s] : sessions_)
    if (s.may_write_any(volumes)) out.push_back(&s);
  return out;
}

session *session_table::any_reachable() {
  for (auto &[id, s] : sessions_)
    if (s.reachable()) return &s;
  return nullptr;
}

std::vector<session *> session_table::readers_of(const snapshot_key &snapshot) {
  std::vector<session *> out;
  for (auto &[id, s] : sessions_)
    if (s.snapshots.contains(snapshot)) out.push_back(&s);
  return out;
}

std::vector<session *> session_table::due(boottime_ms now) {
  std::vector<session *> out;
  for (auto &[id, s] : sessions_)
    if (!s.expired && s.lease_end <= now) out.push_back(&s);
  return out;
}

bool session_table::all_back() const {
  return std::all_of(sessions_.begin(), sessions_.end(), [](const auto &s) { return s.second.is_back; });
}

boottime_ms session_table::next_expiry(boottime_ms otherwise) const {
  for (const auto &[id, s] : sessions_)
    if (!s.expired) otherwise = std::min(otherwise, s.lease_end);
  return otherwise;
}

}  // namespace csnap::core
