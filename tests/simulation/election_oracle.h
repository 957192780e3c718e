// SPDX-License-Identifier: BSD-3-Clause
//
// Who serves. Like `file`: a lock that is free when the process that holds it is gone. Or split: another may be
// elected while the old master still believes in itself; then the new one may ask whether a fence has proved that
// all the others can write no more.
#pragma once

#include "tests/simulation/world.h"

#include <deque>
#include <functional>
#include <set>

namespace csnap::simulation {

class election_oracle {
 public:
  using elected = std::function<void()>;  // called as an event of the process
  election_oracle(world &w, bool can_split)
      : world_(w), can_split_(can_split), chance_(w.stream("election")) {}

  bool can_split() const { return can_split_; }
  void candidate(process &who, elected won);
  void release(process &who);
  // Split only: the next candidate is elected though the master may live.
  void elect_another();
  process *master() const { return master_; }
  // Asked when the own term is in the store: everybody else who ever was master can write no more. With the lock of
  // one kernel it is so from the beginning.
  bool are_others_gone(process &who) const;
  std::uint64_t elections() const { return elections_; }

  bool lies = false;  // planted: says "dead" of a master that is only frozen, and elects another

 private:
  struct waiting {
    process *who;
    elected won;
  };
  void elect_next();
  void watch_master();

  world &world_;
  const bool can_split_;
  prng chance_;
  process *master_ = nullptr;
  std::set<process *> may_write_;  // every master there was, until it is gone: not only the last one
  std::deque<waiting> queue_;
  std::uint64_t elections_ = 0;
};

}  // namespace csnap::simulation
