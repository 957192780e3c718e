// SPDX-License-Identifier: BSD-3-Clause
#include "agent/master_search.h"

#include <algorithm>
#include <utility>

namespace csnap::agent {

void master_search::tick(boottime_ms now) {
  switch (phase_) {
    case phase::idle:
      if (!round_began_ || now.value >= round_began_->value + round_interval_ms) begin_round(now);
      break;
    case phase::looking:
      if (now >= deadline_) {
        ++source_;  // what it says later is taken as news
        go_on(now);
      }
      break;
    case phase::probing:
      if (now >= deadline_) failed(now);
      break;
    case phase::living:
      if (now < deadline_) break;
      if (ping_is_out_) return lost(now);
      ping_is_out_ = true;
      deadline_ = boottime_ms{now.value + patience_ms};
      orders_.emplace_back(std::in_place_type<ping>);
      break;
  }
}

void master_search::begin_round(boottime_ms now) {
  round_began_ = now;
  candidates_.clear();
  tried_.clear();
  hints_ = 0;
  source_ = 0;
  go_on(now);
}

// The next candidate, else the next source, else the end of the round.
void master_search::go_on(boottime_ms now) {
  while (!candidates_.empty()) {
    probed_ = std::move(candidates_.front());
    candidates_.pop_front();
    if (!tried_.insert(probed_).second) continue;
    phase_ = phase::probing;
    deadline_ = boottime_ms{now.value + patience_ms};
    orders_.emplace_back(std::in_place_type<probe>, probed_);
    return;
  }
  if (source_ < told_.size()) {
    phase_ = phase::looking;
    deadline_ = boottime_ms{now.value + patience_ms};
    orders_.emplace_back(std::in_place_type<look>, source_);
    return;
  }
  phase_ = phase::idle;
}

void master_search::add_candidates(const std::vector<master_at> &candidates) {
  for (const master_at &each : candidates)
    if (!each.address.empty()) candidates_.push_back(each.address);
}

// A word that was not asked for changes something only if it is another one than before.
bool master_search::is_news(std::size_t source, const std::vector<master_at> &candidates) const {
  return told_[source] != candidates;
}

void master_search::heard(std::size_t source, std::vector<master_at> candidates, boottime_ms now) {
  const bool was_asked = phase_ == phase::looking && source == source_;
  const bool news = is_news(source, candidates);
  const auto before = std::exchange(told_[source], std::move(candidates));
  const auto &said = told_[source];
  for (const master_at &each : said) highest_ = std::max(highest_, each.term);
  if (was_asked) {
    ++source_;
    add_candidates(said);
    return go_on(now);
  }
  if (!news) return;
  if (phase_ == phase::living) {
    // The engine takes back the master that it had announced, or knows a newer one.
    const bool taken_back = said.empty() && !before.empty() && before.front().term == master_->term;
    if (taken_back || highest_ > master_->term) lost(now);
    if (phase_ == phase::living) return;
  }
  if (said.empty()) return;
  // It may have been tried in vain a moment ago: a master announces itself when it has begun.
  for (auto each = said.rbegin(); each != said.rend(); ++each) {
    if (each->address.empty()) continue;
    tried_.erase(each->address);
    candidates_.push_front(each->address);
  }
  if (phase_ == phase::idle) go_on(now);
}

void master_search::answered(term_id term, boottime_ms now) {
  if (phase_ != phase::probing && phase_ != phase::living) return;
  if (term < highest_) {
    orders_.emplace_back(std::in_place_type<hang_up>);
    if (phase_ == phase::living) return lost(now);
    return go_on(now);
  }
  highest_ = term;
  phase_ = phase::living;
  master_ = master_at{term, probed_};
  ping_is_out_ = false;
  deadline_ = boottime_ms{now.value + ping_interval_ms};
  candidates_.clear();
}

void master_search::refused(const std::string &hint, boottime_ms now) {
  if (phase_ == phase::living) return lost(now);
  if (phase_ != phase::probing) return;
  orders_.emplace_back(std::in_place_type<hang_up>);
  if (!hint.empty() && ++hints_ <= hints_per_round_max) candidates_.push_front(hint);
  go_on(now);
}

void master_search::failed(boottime_ms now) {
  if (phase_ == phase::living) return lost(now);
  if (phase_ != phase::probing) return;
  orders_.emplace_back(std::in_place_type<hang_up>);
  go_on(now);
}

void master_search::lost(boottime_ms now) {
  orders_.emplace_back(std::in_place_type<hang_up>);
  master_.reset();
  phase_ = phase::idle;
  candidates_.clear();
  source_ = told_.size();
  tick(now);  // a round at once, if the last one is long enough ago
}

boottime_ms master_search::next_tick(boottime_ms now) const {
  if (phase_ != phase::idle) return deadline_;
  return round_began_ ? boottime_ms{round_began_->value + round_interval_ms} : now;
}

}  // namespace csnap::agent
