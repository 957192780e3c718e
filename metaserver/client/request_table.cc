// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/request_table.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::client {

ticket request_table::add(purpose why, wire::message what) {
  const ticket t = ++last_ticket_;
  pending_.emplace(t, pending_request{why, std::move(what), {}, false});
  unsent_.push_back(t);
  return t;
}

void request_table::add_first(std::vector<pending_request> requests) {
  std::vector<ticket> tickets;
  for (pending_request &r : requests) {
    tickets.push_back(++last_ticket_);
    pending_.emplace(last_ticket_, std::move(r));
  }
  unsent_.insert(unsent_.begin(), tickets.begin(), tickets.end());
}

std::pair<std::uint64_t, pending_request *> request_table::send_next() {
  check(sendable(), "no request may be sent");
  const ticket t = unsent_.front();
  unsent_.pop_front();
  const std::uint64_t wire_id = next_wire_id();
  sent_.emplace(wire_id, t);
  return {wire_id, &pending_.at(t)};
}

pending_request *request_table::find_sent(std::uint64_t wire_id) {
  const auto found = sent_.find(wire_id);
  return found == sent_.end() ? nullptr : &pending_.at(found->second);
}

std::pair<ticket, pending_request> request_table::finish(std::uint64_t wire_id) {
  const auto found = sent_.find(wire_id);
  check(found != sent_.end(), "finish of a request that is not under way");
  const ticket t = found->second;
  sent_.erase(found);
  const auto at = pending_.find(t);
  std::pair<ticket, pending_request> out{t, std::move(at->second)};
  pending_.erase(at);
  return out;
}

std::optional<answer> request_table::take_answer(ticket t) {
  const auto found = answers_.find(t);
  if (found == answers_.end()) return std::nullopt;
  std::optional<answer> out = std::move(found->second);
  answers_.erase(found);
  return out;
}

std::optional<answer> request_table::abandon(ticket t) {
  if (const auto found = pending_.find(t); found != pending_.end()) found->second.abandoned = true;
  return take_answer(t);
}

void request_table::connection_lost() {
  sent_.clear();
  std::erase_if(pending_, [](const auto &item) { return item.second.why >= purpose::reopen_volume; });
  unsent_.clear();
  for (const auto &[number, request] : pending_) unsent_.push_back(number);
}

std::vector<std::pair<ticket, pending_request>> request_table::take_all(
    const std::function<bool(const pending_request &)> &match) {
  std::vector<std::pair<ticket, pending_request>> out;
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (match(at->second)) {
      out.emplace_back(at->first, std::move(at->second));
      at = pending_.erase(at);
    } else {
      ++at;
    }
  }
  const auto is_out = [this](ticket t) { return !pending_.contains(t); };
  std::erase_if(unsent_, is_out);
  std::erase_if(sent_, [&](const auto &item) { return is_out(item.second); });
  return out;
}

bool request_table::any(purpose why) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&](const auto &item) { return item.second.why == why; });
}

}  // namespace csnap::client
