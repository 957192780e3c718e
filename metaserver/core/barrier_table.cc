// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/barrier_table.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <utility>

namespace csnap::core {

bool barrier::all_answered() const {
  return std::all_of(answered.begin(), answered.end(), [](const auto &a) { return a.second; });
}

barrier &barrier_table::begin(wire::create what, std::vector<volume_id> volumes) {
  ++last_.value;
  barrier &b = barriers_[last_];
  b.id = last_;
  b.what = std::move(what);
  b.volumes = std::move(volumes);
  return b;
}

barrier *barrier_table::find(barrier_id id) {
  const auto found = barriers_.find(id);
  return found == barriers_.end() ? nullptr : &found->second;
}

barrier *barrier_table::of_volume(volume_id volume) {
  for (auto &[id, b] : barriers_)
    if (std::find(b.volumes.begin(), b.volumes.end(), volume) != b.volumes.end()) return &b;
  return nullptr;
}

barrier *barrier_table::of_request(const unique_id &request) {
  for (auto &[id, b] : barriers_)
    if (b.what.request == request) return &b;
  return nullptr;
}

std::vector<barrier_id> barrier_table::leave_all(session_id session) {
  std::vector<barrier_id> unanswered;
  for (auto &[id, b] : barriers_) {
    const auto participant = b.answered.find(session);
    if (participant == b.answered.end()) continue;
    if (b.now == barrier::phase::freezing && !participant->second) unanswered.push_back(id);
    b.answered.erase(participant);
  }
  return unanswered;
}

void barrier_table::begin_anew(barrier_id id) {
  auto node = barriers_.extract(id);
  check(!node.empty(), "a barrier begins anew that is not on");
  ++last_.value;
  node.key() = last_;
  barrier &b = node.mapped();
  b.id = last_;
  b.now = barrier::phase::waiting;
  b.answered.clear();
  barriers_.insert(std::move(node));
}

boottime_ms barrier_table::next_deadline(boottime_ms otherwise) const {
  for (const auto &[id, b] : barriers_)
    if (b.now != barrier::phase::recording) otherwise = std::min(otherwise, b.deadline);
  return otherwise;
}

}  // namespace csnap::core
