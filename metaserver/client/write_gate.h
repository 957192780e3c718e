// SPDX-License-Identifier: BSD-3-Clause
//
// One origin volume that this session may write: its epoch, its unshared chunks, its writes in flight, and
// whether a barrier has frozen it. A gate whose connection was lost is unconfirmed until the server has said
// its epoch anew: it then lives on the lease that it had, not on one that a new welcome brought, and one that
// was frozen stays frozen (rule 7).
#pragma once

#include "metaserver/client/client_machine.h"
#include "metaserver/client/planted_mistakes.h"
#include "metaserver/client/write_pass.h"

#include <memory>

namespace csnap::client {

class write_gate {
 public:
  write_gate(std::string name, volume_id id, std::uint64_t chunk_count, const planted_mistakes &planted)
      : name_(std::move(name)),
        id_(id),
        chunk_count_(chunk_count),
        planted_(&planted),
        pass_(std::make_shared<write_pass>(chunk_count)) {}
  ~write_gate() { pass_->close(); }
  write_gate(const write_gate &) = delete;
  write_gate &operator=(const write_gate &) = delete;

  const std::string &name() const { return name_; }
  volume_id id() const { return id_; }
  epoch_id epoch() const { return epoch_; }
  std::uint64_t chunk_count() const { return chunk_count_; }
  std::uint64_t in_flight() const { return pass_->in_flight(); }
  bool is_frozen() const { return frozen_; }
  bool is_confirmed() const { return confirmed_; }
  bool is_gone() const { return gone_; }
  bool is_of_lost_session() const { return of_lost_session_; }
  unshared_chunks &unshared() { return pass_->unshared(); }
  const std::shared_ptr<write_pass> &pass() const { return pass_; }

  // The server's word on open_volume, the first or a later one. (Its barrier: freeze() or thaw() comes next.)
  void opened(const wire::volume_opened &o);
  void freeze(barrier_id by);
  void thaw();
  // The barrier has ended and leaves this epoch. Thaws a gate that it, or an earlier one, had frozen.
  void barrier_ended(barrier_id barrier, epoch_id epoch, bool has_snapshots);
  void connection_lost(boottime_ms lease_until);
  // A new session, perhaps of a restored store: nothing that was known holds.
  void session_lost();
  void mark_gone();
  // The session's lease is another now.
  void set_lease(boottime_ms until);

  // The lease, as far as this volume may use it.
  bool lease_covers(boottime_ms now) const { return now < covered_until(); }
  void count_write() { pass_->count_write(); }
  // True: it was the last one and a barrier waits for it.
  bool end_write() { return pass_->end() && frozen_; }
  // What a commit or a query of `asked_in` says about a chunk holds only in that epoch (rule 5).
  bool believes(epoch_id asked_in) const { return asked_in == epoch_ || planted_->late_answer; }

  // Callers that have it open; 0: it is closed as soon as no open request is under way.
  std::uint32_t opens() const { return opens_; }
  void count_open() { ++opens_, publish(); }
  void count_close() { --opens_, publish(); }

 private:
  boottime_ms covered_until() const;
  void enter(epoch_id epoch, unshared_chunks::knowledge k);
  // Opens the pass as far as the state allows: the last step of every change.
  void publish();

  std::string name_;
  volume_id id_;
  std::uint64_t chunk_count_;
  const planted_mistakes *planted_;
  std::shared_ptr<write_pass> pass_;
  epoch_id epoch_;
  std::uint32_t opens_ = 0;
  bool frozen_ = false, confirmed_ = true, gone_ = false, of_lost_session_ = false;
  barrier_id barrier_;
  boottime_ms lease_until_, lease_cap_;
};

}  // namespace csnap::client
