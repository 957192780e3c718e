// SPDX-License-Identifier: BSD-3-Clause
//
// One origin volume that this session may write: its epoch, its unshared chunks, its writes in flight, and
// whether a barrier has frozen it. A gate whose connection was lost is unconfirmed until the server has said
// its epoch anew: it then lives on the lease that it had, not on one that a new welcome brought, and one that
// was frozen stays frozen (rule 7).
#pragma once

#include "metaserver/client/client_machine.h"
#include "metaserver/client/planted_mistakes.h"
#include "metaserver/client/unshared_chunks.h"

namespace csnap::client {

class write_gate {
 public:
  write_gate(std::string name, volume_id id, const planted_mistakes &planted)
      : name_(std::move(name)), id_(id), planted_(&planted) {}

  const std::string &name() const { return name_; }
  volume_id id() const { return id_; }
  epoch_id epoch() const { return epoch_; }
  std::uint64_t chunk_count() const { return chunk_count_; }
  std::uint64_t in_flight() const { return in_flight_; }
  bool is_frozen() const { return frozen_; }
  bool is_confirmed() const { return confirmed_; }
  bool is_gone() const { return gone_; }
  bool is_of_lost_session() const { return of_lost_session_; }
  unshared_chunks &unshared() { return unshared_; }

  // The server's word on open_volume, the first or a later one. (Its barrier: freeze() or thaw() comes next.)
  void opened(const wire::volume_opened &o, std::uint64_t chunk_count);
  void freeze(barrier_id by) { frozen_ = true, barrier_ = by; }
  void thaw() { frozen_ = false; }
  // The barrier has ended and leaves this epoch. Thaws a gate that it, or an earlier one, had frozen.
  void barrier_ended(barrier_id barrier, epoch_id epoch, bool has_snapshots);
  void connection_lost(boottime_ms lease_until);
  // A new session, perhaps of a restored store: nothing that was known holds.
  void session_lost();
  void mark_gone() { gone_ = confirmed_ = true; }

  // The lease, as far as this volume may use it.
  bool lease_covers(boottime_ms now) const {
    return confirmed_ || now < lease_cap_ || planted_->no_lease_check;
  }
  void count_write() { ++in_flight_; }
  // True: it was the last one and a barrier waits for it.
  bool end_write();
  // What a commit or a query of `asked_in` says about a chunk holds only in that epoch (rule 5).
  bool believes(epoch_id asked_in) const { return asked_in == epoch_ || planted_->late_answer; }

  std::uint32_t opens = 0;         // by callers; 0: closes as soon as no open request is under way

 private:
  void enter(epoch_id epoch, unshared_chunks::knowledge k);

  std::string name_;
  volume_id id_;
  const planted_mistakes *planted_;
  epoch_id epoch_;
  std::uint64_t chunk_count_ = 0;
  std::uint64_t in_flight_ = 0;
  bool frozen_ = false, confirmed_ = true, gone_ = false, of_lost_session_ = false;
  barrier_id barrier_;
  boottime_ms lease_cap_;
  unshared_chunks unshared_;
};

}  // namespace csnap::client
