// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/write_gate.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::client {

void write_gate::enter(epoch_id epoch, unshared_chunks::knowledge k) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  if (!planted_->keep_bitmap) unshared_.reset(k);
}

void write_gate::opened(const wire::volume_opened &o, std::uint64_t chunk_count) {
  chunk_count_ = chunk_count;
  enter(o.epoch, unshared_chunks::knowledge::unknown);
  if (!o.has_snapshots) unshared_.set_all();
  confirmed_ = true;
  gone_ = of_lost_session_ = false;
}

void write_gate::barrier_ended(barrier_id barrier, epoch_id epoch, bool has_snapshots) {
  // Until the server has answered the open on this connection, only that answer counts: this thaw may be of
  // a barrier that another one followed before the answer was made.
  if (!confirmed_) return;
  enter(epoch, unshared_chunks::knowledge::none);
  if (!has_snapshots) unshared_.set_all();
  if (frozen_ && barrier >= barrier_) frozen_ = false;
}

void write_gate::connection_lost(boottime_ms lease_until) {
  lease_cap_ = confirmed_ ? lease_until : std::min(lease_cap_, lease_until);
  if (!gone_) confirmed_ = false;
  unshared_.forget_asked();
  if (planted_->self_thaw) frozen_ = false;
}

void write_gate::session_lost() {
  connection_lost(boottime_ms{});
  of_lost_session_ = true;
  epoch_ = epoch_id{};
  unshared_.reset(unshared_chunks::knowledge::unknown);
}

bool write_gate::end_write() {
  check(in_flight_ > 0, "a write ended that had not begun");
  return --in_flight_ == 0 && frozen_;
}

}  // namespace csnap::client
