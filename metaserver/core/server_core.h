// SPDX-License-Identifier: BSD-3-Clause
//
// The master as a state machine: sessions and leases, copy-out commits, delegations and recalls, barriers,
// deleting and reaping. It is driven by explicit inputs (a message, a lost connection, a proof of death,
// durable records, the time) and gives explicit outputs. No thread, clock, socket or random source of its
// own; the store engine is its only neighbour. Single owner: the server's io_context thread, or a test.
//
// Rules are numbered as in docs/architecture.md, "The rules". The one that shapes this interface: an answer
// that rests on a record leaves only after records_durable() has covered that record (and, where the election
// could split, after the owner has read the term from the store once more: hold back the outputs until then).
#pragma once

#include "metaserver/base/histogram.h"
#include "metaserver/base/ids.h"
#include "metaserver/store/engine.h"
#include "metaserver/wire/messages.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace csnap::core {

using connection_id = strong_id<struct connection_id_tag>;  // given by the owner, never used again

struct send {
  connection_id to;
  wire::envelope what;
};
// A peer broke the protocol or a limit, or said goodbye: send what is queued for it, then close.
struct hang_up {
  connection_id who;
  std::string reason;
};
// A session was opened (or is known from before a restart) whose client is in the space `boot`: if that
// is ours, watch the process and report session_died() when it is gone. The owner decides what is proof.
struct watch_process {
  session_id session;
  unique_id boot;
  std::uint32_t pid;
  std::uint64_t process_start;
  std::string node;
};
struct unwatch_process {
  session_id session;
};
// One line for the log.
struct log_line {
  bool warning;
  std::string text;
};
// Go on after something could not be read from the store: the engine is not to be used any more. Stop.
struct stop_serving {
  error why;
};

using output = std::variant<send, hang_up, watch_process, unwatch_process, log_line, stop_serving>;

struct session_status {
  session_id id;
  std::string node;
  std::uint32_t pid{};
  bool connected{}, expired{};
  std::int64_t lease_left_ms{};
  std::vector<std::string> volumes;  // opened for writing
  std::size_t snapshots_open{}, delegations{};
  std::uint64_t chunks_reserved{};
};
struct reaper_status {
  bool active{};
  std::uint64_t snapshots_waiting{};   // dying or dead ones that are not gone yet
  std::uint64_t exceptions_removed{};  // since this master began
  double done_fraction{};              // of the pass under way
};
struct core_status {
  term_id term;
  bool in_grace{};
  std::vector<session_status> sessions;
  reaper_status reaper;
  std::uint64_t commits{}, chunks_copied{}, recalls_sent{}, snapshots_created{}, barriers_failed{};
  histogram commit_chunks{1, 2, 4, 8, 16, 32, 64};  // that a commit brought
  histogram create_pause_seconds{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5};  // measured in ms
  const char *store_condition = "ok";   // ok, high, critical, full
  std::uint64_t requests_waiting{};     // for room in the store
  std::vector<std::string> conditions;  // what needs attention, and what to do; one line each
};

struct core_options {
  // 64 bits that nobody can guess and that never repeat: session secrets, epoch nonces.
  std::function<std::uint64_t()> random;
  std::function<std::int64_t()> unix_ms;  // wall clock, only ever shown to people
  // Bytes of the data device, looked at anew. None: the store cannot be enlarged while it is served.
  std::function<result<std::uint64_t>()> measure_store;
  std::size_t sessions_max = wire::sessions_max;
  std::size_t reap_batch = 4096;  // exceptions looked at in one step of the reaper
  // Planted mistakes, for the tests that must find them; all off in production. See docs/testing.md.
  std::vector<std::string> planted;
};

class server_core {
 public:
  // The engine has taken its store over. Grace begins at `now` for the sessions that it recorded.
  server_core(store::engine &engine, core_options options, boottime_ms now);
  ~server_core();
  server_core(const server_core &) = delete;
  server_core &operator=(const server_core &) = delete;

  // ---- inputs ----
  // Precondition: engine.has_room(). status and sessions are the owner's to answer.
  void handle_message(connection_id from, const wire::envelope &what, boottime_ms now);
  // Also after a hang_up, when the connection is really closed.
  void connection_lost(connection_id who, boottime_ms now);
  // Proof: the process of this session is gone and no I/O of it can be in flight.
  void session_died(session_id session, boottime_ms now);
  void records_durable(record_seq last, boottime_ms now);
  // Leases, deadlines, grace, one step of the reaper. Precondition: engine.has_room().
  void tick(boottime_ms now);

  // ---- outputs ----
  std::vector<output> take_outputs();  // in order
  // When tick() wants to be called next; sooner does no harm. Work for the reaper: at once.
  boottime_ms next_tick(boottime_ms now) const;
  core_status status(boottime_ms now) const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace csnap::core
