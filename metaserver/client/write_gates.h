// SPDX-License-Identifier: BSD-3-Clause
//
// All open volumes and the barriers that wait for this client. A barrier is reported once, when every write
// of its volumes has ended; its answer goes out when the owner has flushed. Barriers end with their
// connection: the volumes stay frozen, and the server names the barrier again when they are opened (rule 6).
#pragma once

#include "metaserver/client/write_gate.h"

#include <map>
#include <unordered_map>

namespace csnap::client {

class write_gates {
 public:
  explicit write_gates(const planted_mistakes &planted) : planted_(planted) {}

  write_gate *find(volume_id volume) {
    const auto found = gates_.find(volume);
    return found == gates_.end() ? nullptr : &found->second;
  }
  // The server has answered an open. The gate is new or known.
  write_gate &opened(const std::string &name, const wire::volume_opened &o, std::uint64_t chunk_count);
  void close(volume_id volume) { gates_.erase(volume); }
  // Errors: invalid (more barriers than a server has on at a time).
  result<> freeze(barrier_id barrier, std::span<const volume_id> volumes);
  void thaw(const wire::thaw &t);

  // Nothing while a volume waits for the server's word after a reconnect: it may be part of the barrier too,
  // and its writes in flight would be answered for.
  std::vector<client_machine::drain> take_drains();
  // True: the barrier is still on and this is the answer to it.
  bool drained(barrier_id barrier);

  void set_lease(boottime_ms until) {
    for_each([&](write_gate &g) { g.set_lease(until); });
  }
  void connection_lost(boottime_ms lease_until);
  void session_lost();
  template <class F>
  void for_each(F &&f) {
    for (auto &[id, gate] : gates_) f(gate);
  }

 private:
  struct barrier {
    std::vector<volume_id> volumes;
    bool reported{}, answered{};
  };
  bool is_drained(const barrier &b);

  const planted_mistakes &planted_;
  std::unordered_map<volume_id, write_gate> gates_;
  std::map<barrier_id, barrier> barriers_;
};

}  // namespace csnap::client
