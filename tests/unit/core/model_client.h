// SPDX-License-Identifier: BSD-3-Clause
//
// A client of the model test: a writer and reader of volume "a" that follows the protocol to the letter, in
// small steps that the test interleaves. A chunk's content is one number. What the client sends waits in a
// queue, and what it receives in another, so that everything can pass everything else as in a real network.
#pragma once

#include "tests/unit/core/core_fixture.h"

#include <array>
#include <functional>
#include <random>
#include <set>

namespace csnap::test {

// The shared devices, and what each snapshot must hold.
struct model_world {
  static constexpr std::array<std::uint64_t, 6> chunks{0, 1, 2, 3, 256, 257};
  std::map<std::uint64_t, std::uint64_t> origin;  // chunk -> content
  std::map<std::uint64_t, std::uint64_t> store;   // store chunk -> content
  std::map<snapshot_number, std::map<std::uint64_t, std::uint64_t>> truth;
  std::uint64_t last_content = 0;
  std::uint64_t writes = 0, copies = 0, reads = 0, recalls = 0, creates = 0;  // that the test did something
};

class model_client {
 public:
  model_client(test_server &server, model_world &world, std::uint32_t pid, std::mt19937_64 &random);

  void step();         // one small step of its own choice
  void deliver_one();  // client -> server
  void receive_one();  // server -> client
  void disconnect();
  // The process is killed: what was in flight has landed or never will, and the server learns it as proof.
  // The last call.
  void die();
  bool paused = false;  // does nothing at all, as under SIGSTOP
  bool deaf = false;    // what the server says takes long to arrive

 private:
  reservation_id newest_reservation_;  // what was granted after it was lost with its answer
  struct copy {
    std::uint64_t chunk{};
    epoch_id epoch;  // when the copy began: rule 5
    reservation_id reservation;
    store_chunk place;
    std::uint64_t content{};
    bool stored{}, sent{};
  };
  struct running_read {
    snapshot_number number;
    std::uint64_t chunk{};
    wire::map_run place;
    bool touched{}, done{};
    std::uint64_t content{};
  };
  using segment_map = std::map<std::uint64_t, wire::map_run>;  // chunk -> its place

  void say_hello();
  void queue(wire::message what);
  void request(wire::message what, std::function<void(const wire::message &)> then);
  bool lease_valid() const { return server_.now < lease_end_; }
  void renew_if_due();
  void work_on_writes();
  void work_on_reads();
  void begin_write();
  void begin_copy(std::uint64_t chunk);
  void send_commit();
  void begin_read();
  void end_read();
  void void_promises();
  void opened(const wire::volume_opened &v);
  void set_epoch(const epoch_id &epoch, bool has_snapshots);
  void on_committed(const wire::message &m);
  void on_push(const wire::message &m);
  void on_recall(const wire::recall &r);
  void answer_freeze_if_drained();
  std::uint64_t any_chunk() { return world_.chunks[random_() % world_.chunks.size()]; }

  test_server &server_;
  model_world &world_;
  std::mt19937_64 &random_;
  std::uint32_t pid_;
  core::connection_id connection_;
  session_id session_;
  bool welcomed_ = false, renewing_ = false, gone_ = false;
  boottime_ms lease_end_;
  std::deque<wire::envelope> up_;
  std::uint64_t last_request_ = 0;
  std::map<std::uint64_t, std::function<void(const wire::message &)>> waiting_;

  bool opened_ = false, opening_ = false, frozen_ = true, owes_freeze_answer_ = false;
  barrier_id barrier_;
  epoch_id epoch_;
  std::set<std::uint64_t> unshared_;
  std::uint64_t wanted_ = 0;                      // the chunk to write next
  std::optional<std::uint64_t> write_in_flight_;  // chunk
  std::vector<std::pair<reservation_id, store_chunk>> pool_;
  bool reserving_ = false;
  std::optional<copy> copy_;

  std::set<snapshot_number> snapshots_;  // open
  std::map<snapshot_number, segment_map> maps_;
  bool mapping_ = false, opening_snapshot_ = false;
  std::optional<running_read> read_;
};

}  // namespace csnap::test
