// SPDX-License-Identifier: BSD-3-Clause
//
// Requests from when they are made until their answer is taken. Those of callers outlive connections: they
// are sent again, in order and unchanged, until answered. The client's own (maps, reservations ...) end with
// their connection and are made anew when still wanted. No more are under way than the server takes.
#pragma once

#include "metaserver/client/client_machine.h"

#include <deque>
#include <functional>
#include <map>
#include <unordered_map>

namespace csnap::client {

enum class purpose : std::uint8_t {
  caller,
  open_volume,
  open_snapshot,
  commit,
  close,
  goodbye,
  give_back,  // sent again
  reopen_volume,
  reopen_snapshot,
  reserve,
  unshared_query,
  map,  // not
};

struct pending_request {
  purpose why = purpose::caller;
  wire::message what;
  volume_id about;  // reopen_volume by name: the id it had
  bool abandoned = false;
};

class request_table {
 public:
  // Leaves room for a renewal, which never waits in a queue, within what the server allows.
  static constexpr std::size_t outstanding_max = wire::requests_outstanding_max - 2;

  std::uint64_t next_wire_id() { return ++last_wire_id_; }
  ticket add(purpose why, wire::message what);
  // Before everything that is not sent yet, in this order.
  void add_first(std::vector<pending_request> requests);

  bool sendable() const { return !unsent_.empty() && sent_.size() < outstanding_max; }
  // Marks the next request as sent. Precondition: sendable().
  std::pair<std::uint64_t, pending_request *> send_next();
  // The request that is under way as `wire_id`; nullptr: none.
  pending_request *find_sent(std::uint64_t wire_id);
  // Its answer has come.
  std::pair<ticket, pending_request> finish(std::uint64_t wire_id);

  void keep_answer(ticket t, answer a) { answers_.emplace(t, std::move(a)); }
  std::optional<answer> take_answer(ticket t);
  // Nobody waits any more. An answer that was kept is returned; else it is discarded when it comes.
  std::optional<answer> abandon(ticket t);

  // The connection is lost: nothing is under way, the client's own requests are forgotten.
  void connection_lost();
  // Takes out those of a kind, in order (also those that are under way).
  std::vector<std::pair<ticket, pending_request>> take_all(
      const std::function<bool(const pending_request &)> &match);
  bool any(purpose why) const;
  template <class F>
  void for_each(F &&f) const {
    for (const auto &[number, request] : pending_) f(request);
  }

 private:
  ticket last_ticket_ = 0;
  std::uint64_t last_wire_id_ = 0;
  std::map<ticket, pending_request> pending_;  // ordered: the order of sending again
  std::deque<ticket> unsent_;
  std::unordered_map<std::uint64_t, ticket> sent_;  // by wire id
  std::unordered_map<ticket, answer> answers_;
};

}  // namespace csnap::client
