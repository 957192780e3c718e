// SPDX-License-Identifier: BSD-3-Clause
//
// The client's half of the protocol as a state machine: session and lease, epochs and unshared bitmaps, the
// freeze of a barrier, delegated maps of snapshots, reserved store chunks, and requests that are sent again
// after a reconnect. No thread, clock or socket: the owner (client_runtime, or a test) calls it under one
// lock, passes the time in, sends what take_frames() gives, and wakes its waiters when changes() has moved.
//
// What a data path must do, and why it is safe, is said at each call. The critical sections of the design
// (check-and-count of a write, begin and end of a delegated read) are single calls here.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/client/read_watch.h"
#include "metaserver/client/write_pass.h"
#include "metaserver/wire/messages.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace csnap::client {

struct machine_options {
  std::string node;
  unique_id boot;  // the space of the process, see process_end.h
  std::uint32_t pid{};
  std::uint64_t process_start{};
  bool io_ends_with_process = true;
  unique_id secret;                         // random
  std::size_t map_cache_bytes = 64u << 20;  // for the maps of snapshots; beyond it segments are dropped
  std::size_t maps_min = 256;               // however small: a large read must not drop its own segments
  std::uint32_t reserve_chunks = 256;       // asked for at a time
  std::vector<std::string> planted;         // mistakes for the tests that must find them; off in production
};

// The number of a request of this client; answers are kept until taken.
using ticket = std::uint64_t;
using answer = wire::message;  // `failed` or what the request's comment names

enum class admission : std::uint8_t {
  admitted,    // the write is counted in flight: do it, then call end_write()
  copy_first,  // some chunks are not known unshared: copy them out, then ask again
  wait,        // no lease, frozen, or the unshared map is being fetched: wait for changes(), then ask again
  gone,        // the volume cannot be written by this session any more (closed, deleted)
};
struct write_verdict {
  admission what = admission::wait;
  epoch_id epoch;                // copy_first: stamp of the copies that begin now (rule 5)
  std::vector<chunk_no> shared;  // copy_first: ascending
};

// A store chunk that this session may copy into.
struct reserved_chunk {
  reservation_id reservation;
  store_chunk place;
};
// One write that waits for such chunks, from its first take_reserved() to its last. That the store is full is true of
// it only if the server said so to a question of that time: an older answer may be about a store that has room again.
struct chunk_wait {
  std::optional<std::uint64_t> questions_before;  // set by the first call
};

struct read_place {
  wire::place_kind kind = wire::place_kind::origin;
  store_chunk chunk;  // kind store
};
enum class read_state : std::uint8_t { ready, wait, gone };
struct read_plan {
  read_state what = read_state::wait;
  std::uint64_t era{}, seen{};     // to be given back to finish_read()
  std::vector<read_place> places;  // one for each chunk asked for
};

class client_machine {
 public:
  explicit client_machine(machine_options options);
  ~client_machine();
  client_machine(const client_machine &) = delete;
  client_machine &operator=(const client_machine &) = delete;

  // ---- the connection ----
  void connected(boottime_ms now);  // says hello (after voiding all delegations)
  void disconnected(boottime_ms now);
  // Errors: what the peer did wrong, or `not_master` with the address to try (in the text of `hint`): drop
  // the connection. A frame of a lower term than seen before is ignored.
  result<> received(const wire::envelope &what, boottime_ms now, std::string *hint);
  std::vector<std::vector<std::byte>> take_frames();
  bool has_frames() const;
  // The peer has left a hello or a renewal unanswered for too long: drop the connection, try another server.
  bool peer_is_silent(boottime_ms now) const;
  void tick(boottime_ms now);  // renews at a third of the lease
  boottime_ms next_tick(boottime_ms now) const;
  std::uint64_t changes() const;  // moves whenever a waiter might go on
  bool lease_valid(boottime_ms now) const;
  bool has_session() const;
  std::optional<wire::welcome> welcome() const;  // of the newest hello
  term_id term() const;                          // the highest that was believed

  // ---- plain requests, sent again after a reconnect until answered ----
  // For open_volume/open_snapshot use the calls below. Administrative requests carry their own request id.
  ticket request(wire::message what);
  std::optional<answer> take_answer(ticket t);  // once
  void abandon(ticket t);                       // nobody waits any more

  // ---- origin volumes ----
  ticket open_volume(std::string name);  // answer: volume_opened or failed
  void close_volume(volume_id volume);   // no write in flight or to come
  // The critical section of a write of chunks [first, first + count): valid lease, not frozen, all unshared
  // -> counted in flight. The origin write may be issued if and only if the verdict is `admitted`.
  write_verdict begin_write(volume_id volume, chunk_no first, std::uint64_t count, boottime_ms now);
  void end_write(volume_id volume);
  // The same without the lock, for writes of unshared chunks (write_pass.h): good for as long as the volume is
  // open. write_drained(): the last write that the pass admitted has ended, and a barrier may wait for that.
  std::shared_ptr<write_pass> pass_of(volume_id volume);
  void write_drained();
  // The barriers that wait only for this client's flush: every volume frozen and nothing of it in flight. The
  // owner flushes these origins and then calls drained(); on a failed flush it does not (the create times
  // out). A volume that was closed meanwhile may be among them.
  struct drain {
    barrier_id barrier;
    std::vector<volume_id> volumes;
  };
  std::vector<drain> take_drains();
  void drained(barrier_id barrier);

  // ---- copy-out ----
  // Up to `wanted` reserved chunks, contiguous if at all possible; fewer (or none) when the pool is low: more
  // have been asked for, wait for changes(). When the store is full, what happens is the volume's policy: the
  // server gives room, or lets the request wait, or says no_space (error, when the pool is empty).
  result<std::vector<reserved_chunk>> take_reserved(volume_id volume, std::uint32_t wanted, chunk_wait &wait);
  // Chunks whose copy was never named in a commit: they are this session's to use again.
  void return_unused(std::span<const reserved_chunk> chunks);
  // The copies are durable on the store. Answer: committed (already worked in: bits are set if the epoch is
  // still the same, chunks handed back are in the pool again) or failed.
  ticket commit(wire::commit what);

  // ---- snapshots ----
  ticket open_snapshot(std::string volume, std::string snapshot);  // answer: snapshot_opened or failed
  void close_snapshot(volume_id volume, snapshot_number number);   // counted: one for each open
  // Where chunks [first, first + count) of the snapshot are. Fetches maps that are missing (`wait`).
  read_plan begin_read(volume_id volume, snapshot_number number, chunk_no first, std::uint64_t count,
                       boottime_ms now);
  // After the device read: true only if the lease is valid, the snapshot is still there and nothing touched
  // these chunks since begin_read() (rules 3, 4). False: begin again.
  bool finish_read(volume_id volume, snapshot_number number, chunk_no first, const read_plan &plan,
                   boottime_ms now);
  // Most reads can be finished without the lock: true from still_holds(plan.seen, now) is as good as true from
  // finish_read(). Lives as long as the machine.
  const read_watch &watch() const;

  // ---- the end ----
  // No I/O of this session is in flight and none will be: gives everything back. Answer: done.
  ticket goodbye();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace csnap::client
