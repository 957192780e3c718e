// SPDX-License-Identifier: BSD-3-Clause
//
// Dying snapshots: deleted, but some session may still complete a read of one (rule 14). One is ready to die
// when every session that had it open when its record became durable has answered, or has proved or run out.
#pragma once

#include "metaserver/core/session_table.h"

#include <deque>
#include <map>
#include <optional>
#include <set>

namespace csnap::core {

class deletion_table {
 public:
  void announce(const snapshot_key &snapshot, std::set<session_id> readers, boottime_ms now) {
    if (readers.empty()) ready_.push_back(snapshot);
    else awaited_.emplace(snapshot, announced{std::move(readers), now});
  }
  // The session will complete no read of it any more.
  void released(const snapshot_key &snapshot, session_id session) {
    const auto found = awaited_.find(snapshot);
    if (found == awaited_.end()) return;
    found->second.readers.erase(session);
    if (!found->second.readers.empty()) return;
    awaited_.erase(found);
    ready_.push_back(snapshot);
  }
  bool any_ready() const { return !ready_.empty(); }
  snapshot_key take_ready() {
    const auto out = ready_.front();
    ready_.pop_front();
    return out;
  }
  std::size_t awaited() const { return awaited_.size(); }
  // When the oldest end of a snapshot that the session has not answered was told.
  std::optional<boottime_ms> oldest_announcement(session_id session) const {
    std::optional<boottime_ms> oldest;
    for (const auto &[snapshot, told] : awaited_)
      if (told.readers.contains(session) && (!oldest || told.at < *oldest)) oldest = told.at;
    return oldest;
  }

 private:
  struct announced {
    std::set<session_id> readers;
    boottime_ms at;
  };
  std::map<snapshot_key, announced> awaited_;
  std::deque<snapshot_key> ready_;
};

}  // namespace csnap::core
