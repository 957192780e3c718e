// SPDX-License-Identifier: BSD-3-Clause
//
// The engine `pacemaker`: somebody else elects (Pacemaker, another OCF manager, a person) and says so through
// the server's control socket. A server stands by until it is told. Nothing proves that the one that was the
// master before has stopped, so the election can split: the term in the store keeps a stale master out.
#pragma once

#include "metaserver/election/election.h"
#include "metaserver/election/store_lock.h"

#include <optional>

namespace csnap {

class told_election final : public election {
 public:
  // Without a lock for stores that cannot be locked.
  explicit told_election(std::optional<store_lock> lock) : lock_(std::move(lock)) {}

  void acquire(events what_happens) override { events_ = std::move(what_happens); }
  void release() override;
  bool can_split() const override { return true; }

  // This server is the one. On return it is the master, or an error says what is in the way: busy.
  result<> promote();

 private:
  std::optional<store_lock> lock_;
  events events_;
};

}  // namespace csnap
