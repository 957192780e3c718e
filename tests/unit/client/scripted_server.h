// SPDX-License-Identifier: BSD-3-Clause
//
// A client_machine and the server that a test plays by hand: what the machine sends is taken one message at a
// time, and what the server says is handed to it. Time is a number.
#pragma once

#include "metaserver/client/client_machine.h"
#include "metaserver/wire/frame.h"

#include <catch2/catch.hpp>

#include <deque>
#include <map>

namespace csnap::client {

inline constexpr volume_id vol{3};
inline constexpr snapshot_number snap{5};
inline constexpr std::uint32_t test_lease_ms = 5000;
inline constexpr std::uint64_t test_chunk_bytes = 65536;
inline constexpr std::uint64_t test_store_chunks = 1000000;

inline machine_options test_options(std::vector<std::string> planted = {}) {
  machine_options o;
  o.node = "n1";
  o.reserve_chunks = 8;
  o.planted = std::move(planted);
  return o;
}
inline epoch_id epoch(std::uint64_t n) { return {snapshot_number{n}, n * 77}; }

struct rig {
  explicit rig(machine_options o = test_options()) : machine(std::move(o)) {}

  client_machine machine;
  boottime_ms now{100000};
  term_id term{1, 1};
  std::deque<wire::envelope> sent;
  std::string hint;
  std::map<volume_id, chunk_wait> waiting;
  std::shared_ptr<write_pass> pass;  // of the volume, once it is open

  void pull() {
    for (const auto &frame : machine.take_frames()) {
      auto e = wire::decode_frame(frame);
      REQUIRE(e);
      sent.push_back(*e);
    }
  }
  bool is_quiet() {
    pull();
    return sent.empty();
  }
  // The next message, which must be a T; its request id goes to `id`.
  template <class T>
  T take(std::uint64_t *id = nullptr) {
    pull();
    REQUIRE_FALSE(sent.empty());
    const wire::envelope e = sent.front();
    sent.pop_front();
    INFO("sent: " << wire::message_name(e.body));
    REQUIRE(std::holds_alternative<T>(e.body));
    if (id != nullptr) *id = e.request;
    return std::get<T>(e.body);
  }
  result<> reply(std::uint64_t id, wire::message m) {
    return machine.received({id, term, std::move(m)}, now, &hint);
  }
  result<> say(wire::message m) { return reply(0, std::move(m)); }
  // Takes the next request, which must be a T, and answers it.
  template <class T>
  T answer_with(wire::message m) {
    std::uint64_t id = 0;
    T asked = take<T>(&id);
    REQUIRE(id > 0);
    REQUIRE(reply(id, std::move(m)));
    return asked;
  }

  wire::welcome welcome(std::uint64_t session = 9) const {
    return {{}, 0, session_id{session}, test_lease_ms, test_chunk_bytes, 0, test_store_chunks};
  }
  void connect() {
    machine.connected(now);
    (void)answer_with<wire::hello>(welcome());
  }
  static wire::volume_opened volume(epoch_id e, bool has_snapshots, std::uint64_t barrier = 0,
                                    std::uint64_t chunks = 200000) {
    return {vol, "/dev/x", chunks * test_chunk_bytes, e, barrier_id{barrier}, has_snapshots};
  }
  void open(epoch_id e = epoch(1), bool has_snapshots = true) {
    const ticket t = machine.open_volume("v");
    (void)answer_with<wire::open_volume>(volume(e, has_snapshots));
    REQUIRE(std::holds_alternative<wire::volume_opened>(*machine.take_answer(t)));
    pass = machine.pass_of(vol);
  }
  void open_snap(snapshot_number number = snap, std::uint64_t chunks = 100000) {
    const ticket t = machine.open_snapshot("v", "s");
    (void)answer_with<wire::open_snapshot>(
        wire::snapshot_opened{vol, number, "/dev/x", chunks * test_chunk_bytes, 0});
    REQUIRE(machine.take_answer(t));
  }

  admission write(std::uint64_t chunk, std::uint64_t count = 1) {
    const bool passes = pass && pass->begin(chunk_no{chunk}, count, now);
    if (passes) REQUIRE_FALSE(pass->end());
    const admission verdict = machine.begin_write(vol, chunk_no{chunk}, count, now).what;
    if (pass) CHECK(passes == (verdict == admission::admitted));  // both lanes know the same
    return verdict;
  }
  // The next look of the write of this volume that waits for chunks; what it gets, or an error, ends its wait.
  result<std::vector<reserved_chunk>> reserve(volume_id volume, std::uint32_t wanted) {
    auto got = machine.take_reserved(volume, wanted, waiting[volume]);
    if (!got || !got->empty()) waiting.erase(volume);
    return got;
  }
  // Answers the query of a chunk's region: nothing is unshared, or everything.
  void learn(std::uint64_t chunk, bool unshared) {
    REQUIRE(write(chunk) == admission::wait);
    std::uint64_t id = 0;
    const auto q = take<wire::unshared_query>(&id);
    REQUIRE(reply(id, wire::unshared_map{false, std::string((q.count + 7) / 8, unshared ? '\xff' : '\0')}));
  }
  read_plan read(std::uint64_t chunk, std::uint64_t count = 1, snapshot_number number = snap) {
    return machine.begin_read(vol, number, chunk_no{chunk}, count, now);
  }
  bool finish(std::uint64_t chunk, const read_plan &plan, snapshot_number number = snap) {
    const bool finished = machine.finish_read(vol, number, chunk_no{chunk}, plan, now);
    if (machine.watch().still_holds(plan.seen, now)) CHECK(finished);
    return finished;
  }
  // Begins a read of an unmapped chunk, and answers the map: all of the segment is in the origin.
  void map_origin(std::uint64_t chunk, snapshot_number number = snap) {
    REQUIRE(read(chunk, 1, number).what == read_state::wait);
    (void)answer_with<wire::map>(wire::map_reply{{{256, wire::place_kind::origin, {}}}});
  }
};

}  // namespace csnap::client
