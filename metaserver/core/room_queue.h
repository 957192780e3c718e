// SPDX-License-Identifier: BSD-3-Clause
//
// Requests that wait for room in the store, oldest first, and how far the search for room has come. Passive:
// what is done about it, and in which order, is in full_store.cc.
#pragma once

#include "metaserver/core/connection_table.h"

#include <algorithm>
#include <deque>
#include <set>

namespace csnap::core {

struct waiting_request {
  requester who;
  volume_id volume;
  wire::message what;  // a reserve or a commit
};

// How full the store is, by its watermarks.
enum class store_level : std::uint8_t { ok, high, critical, full };
const char *to_text(store_level level);

class room_queue {
 public:
  bool is_empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }
  std::deque<waiting_request> &all() { return waiting_; }
  const std::deque<waiting_request> &all() const { return waiting_; }
  std::size_t count_of(session_id session) const {
    return static_cast<std::size_t>(std::count_if(waiting_.begin(), waiting_.end(),
                                                  [&](const auto &w) { return w.who.session == session; }));
  }
  // A reservation for this volume, on this connection.
  bool waits_for(const requester &who, volume_id volume) const {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const waiting_request &w) {
      return w.who.from == who.from && w.volume == volume && std::holds_alternative<wire::reserve>(w.what);
    });
  }

  // ---- unused reservations called back ----
  bool has_called_back = false;  // since room last came, or somebody came who may have some
  boottime_ms answers_until, ask_again_at;
  void await(session_id session) { asked_.insert(session); }
  void answered(session_id session) { asked_.erase(session); }
  void await_nobody() { asked_.clear(); }
  bool awaits_answers() const { return !asked_.empty(); }

  bool has_reaped = false;             // since the last one was served: for a planted mistake only
  bool is_full = false;                // somebody waits, and there is nothing to call back or to wait for
  std::size_t deletions_recorded = 0;  // deleted or given up, not durable yet
  store_level level = store_level::ok;

 private:
  std::deque<waiting_request> waiting_;
  std::set<session_id> asked_;
};

}  // namespace csnap::core
