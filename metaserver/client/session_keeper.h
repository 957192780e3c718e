// SPDX-License-Identifier: BSD-3-Clause
//
// The session and its lease: when to renew, until when the lease holds, which term is believed, when a silent
// peer is given up. A lease is counted from when the hello or the renewal was SENT: the server counts from
// its receipt, so the client's always ends first. At most one renewal is under way.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/client/planted_mistakes.h"
#include "metaserver/wire/messages.h"

#include <algorithm>
#include <optional>

namespace csnap::client {

class session_keeper {
 public:
  enum class phase : std::uint8_t { offline, greeting, open };

  explicit session_keeper(const planted_mistakes &planted) : planted_(planted) {}

  phase now_in() const { return phase_; }
  session_id session() const { return session_; }
  term_id term() const { return term_; }
  const std::optional<wire::welcome> &welcome() const { return welcome_; }
  boottime_ms lease_until() const { return lease_until_; }
  bool lease_valid(boottime_ms now) const { return now < lease_until_ || planted_.no_lease_check; }

  void hello_sent(boottime_ms now);
  // Errors: stale (an older term), invalid (a welcome that cannot be).
  result<> welcomed(const wire::welcome &w, term_id term, boottime_ms now);
  void store_grown(std::uint64_t chunk_count) {
    if (welcome_) welcome_->chunk_count = std::max(welcome_->chunk_count, chunk_count);
  }
  void lost() { phase_ = phase::offline; }
  // The server has let the session expire. It may still be resumed.
  void expired() { lease_until_ = boottime_ms{}; }
  // The server does not know the session any more, or it said goodbye: the next hello opens a new one.
  void forget();

  bool renewal_due(boottime_ms now) const;
  void renewal_sent(boottime_ms now);
  void renewed(std::uint32_t lease_ms, boottime_ms now);
  // The peer has not answered a hello or a renewal for so long that another server should be asked.
  bool peer_is_silent(boottime_ms now) const;
  boottime_ms next_tick(boottime_ms now) const;

 private:
  void extend(std::uint32_t lease_ms, boottime_ms now);
  std::int64_t patience_ms() const;

  const planted_mistakes &planted_;
  phase phase_ = phase::offline;
  session_id session_;
  term_id term_;
  std::optional<wire::welcome> welcome_;
  boottime_ms sent_;  // the newest hello or renewal
  bool unanswered_ = false;
  std::uint32_t lease_ms_ = 0;
  boottime_ms lease_until_;
};

}  // namespace csnap::client
