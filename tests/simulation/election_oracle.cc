// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/election_oracle.h"

#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

void election_oracle::candidate(process &who, elected won) {
  queue_.push_back({&who, std::move(won)});
  if (master_ == nullptr) elect_next();
}

void election_oracle::release(process &who) {
  std::erase_if(queue_, [&](const waiting &w) { return w.who == &who; });
  may_write_.erase(&who);
  if (master_ != &who) return;
  master_ = nullptr;
  elect_next();
}

void election_oracle::elect_another() {
  if (!can_split_ && !lies) return;
  std::erase_if(queue_, [](const waiting &w) { return !w.who->alive(); });
  if (queue_.empty() || master_ == nullptr) return;
  sometimes(probe::elected_beside_a_living_master, master_->alive());
  elect_next();
}

void election_oracle::elect_next() {
  std::erase_if(queue_, [](const waiting &w) { return !w.who->alive(); });
  if (queue_.empty()) return;
  waiting next = std::move(queue_.front());
  queue_.pop_front();
  master_ = next.who;
  may_write_.insert(master_);
  ++elections_;
  sometimes(probe::elected_while_frozen, master_->frozen());
  world_.after(chance_.between(0, 5) * millisecond, next.who, std::move(next.won));
  watch_master();
}

bool election_oracle::are_others_gone(process &who) const {
  return lies || (may_write_.contains(&who) && may_write_.size() == 1);
}

void election_oracle::watch_master() {
  master_->when_gone.push_back([this, who = master_] {
    may_write_.erase(who);
    if (master_ != who) return;
    master_ = nullptr;
    elect_next();
  });
}

}  // namespace csnap::simulation
