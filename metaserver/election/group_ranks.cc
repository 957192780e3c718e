// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/group_ranks.h"

#include <algorithm>

namespace csnap {

void group_ranks::new_view(const std::vector<group_member> &members, std::int64_t now_ms) {
  members_.clear();
  for (const group_member &each : members) members_[each].heard_ms = now_ms;
}

void group_ranks::spoke(group_member who, std::uint64_t rank, std::int64_t now_ms) {
  const auto found = members_.find(who);
  if (found == members_.end() || found->second.has_spoken) return;
  found->second = {rank, true, now_ms};
  next_rank_ = std::max(next_rank_, rank + 1);
  if (!all_spoke()) return;
  for (auto &[each, about] : members_)
    if (about.rank == 0) about.rank = next_rank_++;
  if (const auto own = members_.find(self_); own != members_.end()) own_rank_ = own->second.rank;
}

void group_ranks::heard(group_member who, std::int64_t now_ms) {
  if (const auto found = members_.find(who); found != members_.end()) found->second.heard_ms = now_ms;
}

bool group_ranks::all_spoke() const {
  return std::all_of(members_.begin(), members_.end(), [](const auto &m) { return m.second.has_spoken; });
}

bool group_ranks::own_word_is_out() const {
  const auto own = members_.find(self_);
  return own == members_.end() || own->second.has_spoken;
}

// A member that is stopped does not speak: what it was is known to itself only, so it is passed over.
std::optional<group_member> group_ranks::oldest(std::int64_t silence_ms) const {
  std::int64_t last_heard_ms = 0;
  for (const auto &[who, about] : members_) last_heard_ms = std::max(last_heard_ms, about.heard_ms);
  std::optional<group_member> found;
  std::uint64_t lowest = 0;
  for (const auto &[who, about] : members_) {
    if (last_heard_ms - about.heard_ms >= silence_ms) continue;
    if (!about.has_spoken) return std::nullopt;
    const std::uint64_t rank = about.rank == 0 ? ~std::uint64_t{0} : about.rank;
    if (found && rank >= lowest) continue;
    found = who;
    lowest = rank;
  }
  return found;
}

}  // namespace csnap
