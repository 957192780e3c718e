// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/write_gate.h"

#include <algorithm>
#include <cstdint>

namespace csnap::client {

boottime_ms write_gate::covered_until() const {
  if (planted_->no_lease_check) return boottime_ms{INT64_MAX};
  return confirmed_ ? lease_until_ : std::min(lease_until_, lease_cap_);
}

void write_gate::publish() {
  if (frozen_ || gone_ || opens_ == 0) pass_->close();
  else pass_->open_until(covered_until());
}

void write_gate::enter(epoch_id epoch, unshared_chunks::knowledge k) {
  if (epoch == epoch_) return;
  pass_->close();
  epoch_ = epoch;
  if (!planted_->keep_bitmap) unshared().reset(k);
}

void write_gate::opened(const wire::volume_opened &o) {
  enter(o.epoch, unshared_chunks::knowledge::unknown);
  if (!o.has_snapshots) unshared().set_all();
  confirmed_ = true;
  gone_ = of_lost_session_ = false;
  // A barrier that is on is named in the same message: the pass must not be open until it has been seen.
  if (o.barrier == barrier_id{}) publish();
  else pass_->close();
}

void write_gate::freeze(barrier_id by) {
  frozen_ = true;
  barrier_ = by;
  publish();
}

void write_gate::thaw() {
  frozen_ = false;
  publish();
}

void write_gate::barrier_ended(barrier_id barrier, epoch_id epoch, bool has_snapshots) {
  // Until the server has answered the open on this connection, only that answer counts: this thaw may be of
  // a barrier that another one followed before the answer was made.
  if (!confirmed_) return;
  enter(epoch, unshared_chunks::knowledge::none);
  if (!has_snapshots) unshared().set_all();
  if (frozen_ && barrier >= barrier_) frozen_ = false;
  publish();
}

void write_gate::connection_lost(boottime_ms lease_until) {
  lease_cap_ = confirmed_ ? lease_until : std::min(lease_cap_, lease_until);
  if (!gone_) confirmed_ = false;
  unshared().forget_asked();
  if (planted_->self_thaw) frozen_ = false;
  publish();
}

void write_gate::session_lost() {
  connection_lost(boottime_ms{});
  of_lost_session_ = true;
  epoch_ = epoch_id{};
  unshared().reset(unshared_chunks::knowledge::unknown);
}

void write_gate::mark_gone() {
  gone_ = confirmed_ = true;
  publish();
}

void write_gate::set_lease(boottime_ms until) {
  lease_until_ = until;
  publish();
}

}  // namespace csnap::client
