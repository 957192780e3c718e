// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/pending_commits.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <set>

namespace csnap::core {

pending_commits::batch_no pending_commits::add(volume_id volume, record_seq record,
                                               std::vector<wire::recall_entry> entries) {
  const batch_no number = ++last_batch_;
  std::set<batch_no> older;
  for (const auto &e : entries) {
    auto [at, is_new] = newest_.try_emplace({volume, e.chunk}, number);
    if (!is_new) older.insert(std::exchange(at->second, number));
  }
  for (const batch_no o : older) batches_.at(o).newer.push_back(number);
  batch b;
  b.volume = volume;
  b.record = record;
  b.entries = std::move(entries);
  b.older = older.size();
  batches_.emplace(number, std::move(b));
  return number;
}

std::vector<pending_commits::recall_order> pending_commits::durable(batch_no number,
                                                                    const delegation_table &delegations,
                                                                    boottime_ms now) {
  batch &b = batches_.at(number);
  b.is_durable = true;
  std::map<session_id, std::vector<wire::recall_entry>> by_holder;
  for (const auto &e : b.entries)
    for (const session_id holder : delegations.holders(b.volume, e.chunk)) by_holder[holder].push_back(e);
  std::vector<recall_order> out;
  for (auto &[holder, entries] : by_holder) {
    const std::uint64_t id = ++last_recall_;
    recalls_[holder].emplace(id, sent_recall{number, now});
    out.push_back({holder, wire::recall{id, b.volume, std::move(entries)}});
  }
  b.recalls = out.size();
  finish_if_over(number);
  return out;
}

void pending_commits::recall_answered(session_id session, std::uint64_t recall) {
  const auto of_session = recalls_.find(session);
  if (of_session == recalls_.end()) return;
  const auto found = of_session->second.find(recall);
  if (found == of_session->second.end()) return;
  const batch_no number = found->second.batch;
  of_session->second.erase(found);
  if (of_session->second.empty()) recalls_.erase(of_session);
  --batches_.at(number).recalls;
  finish_if_over(number);
}

void pending_commits::recalls_over(session_id session) {
  const auto of_session = recalls_.find(session);
  if (of_session == recalls_.end()) return;
  std::vector<std::uint64_t> ids;
  for (const auto &[id, sent] : of_session->second) ids.push_back(id);
  for (const auto id : ids) recall_answered(session, id);
}

std::optional<boottime_ms> pending_commits::oldest_recall(session_id session) const {
  const auto found = recalls_.find(session);
  if (found == recalls_.end()) return {};
  return found->second.begin()->second.sent;
}

std::optional<pending_commits::batch_no> pending_commits::pending(volume_id volume, chunk_no chunk) const {
  const auto found = newest_.find({volume, chunk});
  if (found == newest_.end()) return {};
  return found->second;
}

std::optional<record_seq> pending_commits::undurable(volume_id volume, chunk_no chunk) const {
  const auto number = pending(volume, chunk);
  if (!number || batches_.at(*number).is_durable) return {};
  return batches_.at(*number).record;
}

void pending_commits::hold(answer what, const std::vector<batch_no> &until) {
  if (until.empty()) {
    ready_.push_back(std::move(what));
    return;
  }
  const std::uint64_t id = ++last_answer_;
  for (const batch_no b : until) batches_.at(b).answers.push_back(id);
  held_.emplace(id, held_answer{std::move(what), until.size()});
}

void pending_commits::finish_if_over(batch_no first) {
  std::vector<batch_no> candidates{first};
  while (!candidates.empty()) {
    const auto found = batches_.find(candidates.back());
    candidates.pop_back();
    check(found != batches_.end(), "a batch ended twice");
    if (!found->second.is_durable || found->second.recalls || found->second.older) continue;
    const auto node = batches_.extract(found);
    const batch &b = node.mapped();
    for (const auto &e : b.entries) {
      const auto at = newest_.find({b.volume, e.chunk});
      if (at->second == node.key()) newest_.erase(at);
    }
    for (const batch_no n : b.newer)
      if (--batches_.at(n).older == 0) candidates.push_back(n);
    for (const std::uint64_t id : b.answers) {
      const auto held = held_.find(id);
      if (--held->second.blocked) continue;
      ready_.push_back(std::move(held->second.what));
      held_.erase(held);
    }
  }
}

}  // namespace csnap::core
