// SPDX-License-Identifier: BSD-3-Clause
//
// The sessions of this store as this master knows them: lease, connection, and what each has open. Passive:
// what follows from an end or an expiry is the server's business.
#pragma once

#include "metaserver/core/server_core.h"

#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace csnap::core {

using snapshot_key = std::pair<volume_id, snapshot_number>;

struct session {
  session_id id;
  connection_id connection;  // 0: none, or not welcomed yet
  boottime_ms lease_end;     // counted from receipt, with the margin for drift
  bool expired{};            // its lease ran out: not renewed before a new hello (rule 3)
  // Recorded by an earlier master. The record does not say what it writes, and it may write before it tells
  // us: it counts as a writer of every volume as long as this master lives.
  bool inherited{};
  bool is_back = true;  // inherited ones: has said hello to this master
  std::set<volume_id> writing;
  std::set<snapshot_key> snapshots;
  std::uint64_t chunks_reserved{};
  // What was granted on `granted_on`, for which volume, while the client may not have heard of it: on one
  // connection each reservation is granted once.
  std::map<reservation_id, volume_id> granted;
  connection_id granted_on;

  bool may_write(volume_id volume) const { return inherited || writing.contains(volume); }
  bool may_write_any(std::span<const volume_id> volumes) const;
  bool reachable() const { return connection.value != 0 && !expired; }
};

class session_table {
 public:
  session &add(session_id id) {
    session &s = sessions_[id];
    s.id = id;
    return s;
  }
  void erase(session_id id) { sessions_.erase(id); }
  session *find(session_id id);
  std::size_t size() const { return sessions_.size(); }
  std::map<session_id, session> &all() { return sessions_; }
  const std::map<session_id, session> &all() const { return sessions_; }

  std::vector<session *> writers_of(std::span<const volume_id> volumes);
  session *any_reachable();
  std::vector<session *> readers_of(const snapshot_key &snapshot);
  std::vector<session *> due(boottime_ms now);  // lease over, not expired yet
  bool all_back() const;
  // When the next lease ends; `otherwise` if none will.
  boottime_ms next_expiry(boottime_ms otherwise) const;

 private:
  std::map<session_id, session> sessions_;
};

}  // namespace csnap::core
