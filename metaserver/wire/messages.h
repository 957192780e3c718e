// SPDX-License-Identifier: BSD-3-Clause
//
// The messages between clients (the plugin, the tool) and the master. docs/protocol.md is normative; golden
// files hold both to each other. Each struct lists its fields once, in wire order, in `fields`, which serves
// encoding and decoding alike. A request gets exactly one answer with its request id: the type named after
// "->", or `failed`. Messages without an answer and those from the server carry request id 0.
#pragma once

#include "metaserver/base/full_policy.h"
#include "metaserver/base/ids.h"
#include "metaserver/base/names.h"
#include "metaserver/base/result.h"
#include "metaserver/wire/protocol_limits.h"

#include <string>
#include <variant>
#include <vector>

namespace csnap::wire {

// Bounds for `fields`: the archive refuses what is longer.
template <std::size_t Limit, class T>
struct bounded {
  T &value;
};
template <std::size_t Limit, class T>
bounded<Limit, T> limit(T &value) {
  return {value};
}

// ---- opening and keeping a session ----

enum class client_role : std::uint8_t {
  node = 1,  // does data I/O: gets a session with a lease
  tool = 2,  // administers: no session, session id 0
};

// -> welcome. The first message of a connection, and only the first. `resume` 0 opens a new session. A
// client voids all its delegations BEFORE it sends this (rule 3): the hello answers every recall.
struct hello {
  client_role role = client_role::tool;
  session_id resume;
  unique_id secret;
  std::string node;
  unique_id boot;
  std::uint32_t pid{};
  std::uint64_t process_start{};
  bool io_ends_with_process{};
  void fields(auto &f) {
    f(role, resume, secret, limit<node_name_max>(node), boot, pid, process_start, io_ends_with_process);
  }
};
struct welcome {
  unique_id store;
  std::uint64_t restore_generation{};
  session_id session;
  std::uint32_t lease_ms{};  // counted by the client from when it SENT the hello or renewal
  std::uint32_t chunk_bytes{};
  std::uint64_t chunks_offset_bytes{};  // of store chunk 0 on the data device
  std::uint64_t chunk_count{};
  void fields(auto &f) {
    f(store, restore_generation, session, lease_ms, chunk_bytes, chunks_offset_bytes, chunk_count);
  }
};
// The answer to any request that failed. gone: the session has expired, say hello again. not_master:
// `address` says where to try, if known.
struct failed {
  errc code = errc::invalid;
  std::string text;
  std::string address;
  void fields(auto &f) { f(code, limit<error_text_max>(text), limit<address_max>(address)); }
};
struct renew {
  void fields(auto &) {}
};  // -> renewed
struct renewed {
  std::uint32_t lease_ms{};
  void fields(auto &f) { f(lease_ms); }
};
// -> done. All I/O of the session has ended; its reservations are free. Nothing may follow.
struct goodbye {
  void fields(auto &) {}
};
struct done {
  void fields(auto &) {}
};

// ---- what there is ----

struct volume_entry {
  volume_id id;
  std::string name;
  std::string device;
  std::uint64_t size_bytes{};
  std::uint64_t snapshot_count{};  // live ones
  snapshot_number epoch;
  full_policy when_full = full_policy::error;
  std::uint64_t sacrificed{};  // snapshots that were ever given up for room
  void fields(auto &f) {
    f(id, limit<name_length_max>(name), limit<device_name_max>(device), size_bytes, snapshot_count, epoch,
      when_full, sacrificed);
  }
};
struct hold_tag {
  std::string tag;
  void fields(auto &f) { f(limit<tag_length_max>(tag)); }
};
struct snapshot_entry {
  volume_id volume;
  snapshot_number number;
  std::string name;
  std::uint64_t created_unix_ms{};
  std::uint64_t size_bytes{};
  std::uint32_t priority{};  // two's complement
  std::uint8_t state{};      // store::snapshot_state; lists hold live and dying ones
  bool sacrificed{};         // given up for room, not deleted by anybody
  std::vector<hold_tag> holds{};
  void fields(auto &f) {
    f(volume, number, limit<name_length_max>(name), created_unix_ms, size_bytes, priority, state, sacrificed,
      limit<holds_max>(holds));
  }
};
// -> list_reply. All volumes (or the one named), and the snapshots after (after_volume, after_number) in the
// order of (volume, number).
struct list {
  std::string volume;  // empty: all
  volume_id after_volume;
  snapshot_number after_number;
  void fields(auto &f) { f(limit<name_length_max>(volume), after_volume, after_number); }
};
struct list_reply {
  std::vector<volume_entry> volumes;
  std::vector<snapshot_entry> snapshots;
  bool more{};
  void fields(auto &f) { f(limit<volumes_max>(volumes), limit<list_entries_max>(snapshots), more); }
};

// ---- opening ----

// -> volume_opened. By name, or by id when the name is empty (after a reconnect). The session may write from
// now on: barriers wait for it. Opening again is allowed and answers anew.
struct open_volume {
  std::string name;
  volume_id id;
  void fields(auto &f) { f(limit<name_length_max>(name), id); }
};
struct volume_opened {
  volume_id id;
  std::string device;
  std::uint64_t size_bytes{};
  epoch_id epoch;
  barrier_id barrier;    // not 0: frozen, part of this barrier (rule 6)
  bool has_snapshots{};  // false: every chunk is unshared in this epoch
  void fields(auto &f) { f(id, limit<device_name_max>(device), size_bytes, epoch, barrier, has_snapshots); }
};
struct close_volume {  // -> done. No write of this session to it is in flight or will be.
  volume_id id;
  void fields(auto &f) { f(id); }
};
// -> snapshot_opened. By names, or by (id, number) when the names are empty.
struct open_snapshot {
  std::string volume, snapshot;
  volume_id id;
  snapshot_number number;
  void fields(auto &f) { f(limit<name_length_max>(volume), limit<name_length_max>(snapshot), id, number); }
};
struct snapshot_opened {
  volume_id id;
  snapshot_number number;
  std::string device;  // of the origin
  std::uint64_t size_bytes{};
  std::uint64_t created_unix_ms{};
  void fields(auto &f) { f(id, number, limit<device_name_max>(device), size_bytes, created_unix_ms); }
};
struct close_snapshot {  // -> done
  volume_id id;
  snapshot_number number;
  void fields(auto &f) { f(id, number); }
};

// ---- copy-out ----

// -> reserved. One at a time for each volume; a second one is refused. `needed`: a write waits for it and the
// client has none; then, when the store is full, the volume's policy decides what happens. A reservation of the
// session that is newer than `newest_known` and was granted on another connection is one whose answer was lost:
// it is granted again, so that lost answers leak nothing.
struct reserve {
  std::uint32_t count{};        // wanted; 1 .. reserve_chunks_max
  reservation_id newest_known;  // 0: none yet
  volume_id volume{};           // whose write wants it
  bool needed{};
  void fields(auto &f) { f(count, newest_known, volume, needed); }
};
struct reserved {
  reservation_id id;
  store_chunk first;
  std::uint32_t count{};  // >= 1, perhaps fewer than wanted
  void fields(auto &f) { f(id, first, count); }
};
struct commit_entry {
  chunk_no chunk;
  reservation_id reservation;  // 0 with place zero
  store_chunk place;           // holds the copy, durably; or zero
  void fields(auto &f) { f(chunk, reservation, place); }
};
// -> committed. The copies were begun in `epoch`. Sent again unchanged after a reconnect (rule 12).
struct commit {
  volume_id volume;
  epoch_id epoch;
  std::vector<commit_entry> entries;  // chunks ascending, no two the same
  void fields(auto &f) { f(volume, epoch, limit<commit_entries_max>(entries)); }
};
enum class copy_fate : std::uint8_t {
  used = 1,   // the copy is the exception now
  back = 2,   // not needed: the store chunk is the client's to use again
  taken = 3,  // not the client's any more (a late repetition): forget it
};
struct commit_outcome {
  copy_fate fate = copy_fate::back;
  bool unshared{};  // in the epoch of the commit; true only when durable and recalled (rule 2)
  void fields(auto &f) { f(fate, unshared); }
};
struct committed {
  bool stale_epoch{};                    // the commit's epoch is over: nothing is unshared, begin anew
  std::vector<commit_outcome> outcomes;  // one for each entry, in order
  void fields(auto &f) { f(stale_epoch, limit<commit_entries_max>(outcomes)); }
};
// -> unshared_map. Which chunks of [first, first + count) are unshared in this epoch.
struct unshared_query {
  volume_id volume;
  epoch_id epoch;
  chunk_no first;
  std::uint32_t count{};
  void fields(auto &f) { f(volume, epoch, first, count); }
};
struct unshared_map {
  bool stale_epoch{};
  std::string bits;  // bit i of byte i / 8, low bit first; 1: unshared
  void fields(auto &f) { f(stale_epoch, limit<unshared_chunks_max / 8>(bits)); }
};

// ---- snapshot reads ----

enum class place_kind : std::uint8_t { origin = 1, store = 2, zero = 3 };
struct map_run {
  std::uint32_t count{};
  place_kind kind = place_kind::origin;
  store_chunk first;  // of `count` consecutive ones; kind store only
  void fields(auto &f) { f(count, kind, first); }
};
// -> map_reply. `first` is a multiple of segment_chunks. The answer makes the session a holder of the
// delegation of this segment of the volume.
struct map {
  volume_id volume;
  snapshot_number number;
  chunk_no first;
  void fields(auto &f) { f(volume, number, first); }
};
struct map_reply {
  std::vector<map_run> runs;  // from `first` to the segment's or the volume's end
  void fields(auto &f) { f(limit<segment_chunks>(runs)); }
};
struct drop {  // no answer: the session does not use its delegation any more
  volume_id volume;
  chunk_no first;
  void fields(auto &f) { f(volume, first); }
};
struct recall_entry {
  chunk_no chunk;
  snapshot_number number;  // snapshots up to this one now read the chunk at `place`
  store_chunk place;
  void fields(auto &f) { f(chunk, number, place); }
};
struct recall {  // from the server; answered by recall_answer, at once (rule: never waits)
  std::uint64_t id{};
  volume_id volume;
  std::vector<recall_entry> entries;
  void fields(auto &f) { f(id, volume, limit<recall_entries_max>(entries)); }
};
struct recall_answer {
  std::uint64_t id{};
  void fields(auto &f) { f(id); }
};
struct snapshot_gone {  // from the server: it is dying; answered by snapshot_gone_answer
  volume_id volume;
  snapshot_number number;
  void fields(auto &f) { f(volume, number); }
};
struct snapshot_gone_answer {  // no read of it will complete any more
  volume_id volume;
  snapshot_number number;
  void fields(auto &f) { f(volume, number); }
};

// ---- barrier ----

struct freeze {  // from the server: stop issuing, finish and flush, answer
  barrier_id barrier;
  std::vector<volume_id> volumes;
  void fields(auto &f) { f(barrier, limit<group_size_max>(volumes)); }
};
struct freeze_answer {
  barrier_id barrier;
  void fields(auto &f) { f(barrier); }
};
struct thawed_volume {
  volume_id volume;
  epoch_id epoch;
  bool has_snapshots{};
  void fields(auto &f) { f(volume, epoch, has_snapshots); }
};
struct thaw {  // from the server: the barrier has ended, done or given up
  barrier_id barrier;
  std::vector<thawed_volume> volumes;
  void fields(auto &f) { f(barrier, limit<group_size_max>(volumes)); }
};

// ---- administration: repeated with the same request id, each has one effect ----

struct snapshot_pair {
  std::string volume, snapshot;
  void fields(auto &f) { f(limit<name_length_max>(volume), limit<name_length_max>(snapshot)); }
};
struct create {  // -> created
  unique_id request;
  std::uint32_t priority{};
  std::vector<snapshot_pair> members;
  void fields(auto &f) { f(request, priority, limit<group_size_max>(members)); }
};
struct created {
  snapshot_number number;
  std::uint64_t created_unix_ms{};
  std::uint32_t pause_ms{};  // how long the barrier was on
  void fields(auto &f) { f(number, created_unix_ms, pause_ms); }
};
struct remove {  // -> done. `csnap delete`
  unique_id request;
  snapshot_pair snapshot;
  void fields(auto &f) { f(request, snapshot); }
};
struct rename {  // -> done
  unique_id request;
  snapshot_pair snapshot;
  std::string new_name;
  void fields(auto &f) { f(request, snapshot, limit<name_length_max>(new_name)); }
};
// -> diff_reply. By names, or by (id, numbers) when the names are empty.
struct diff {
  std::string volume, older, newer;
  volume_id id;
  snapshot_number older_number, newer_number;
  chunk_no first;  // where to go on
  void fields(auto &f) {
    f(limit<name_length_max>(volume), limit<name_length_max>(older), limit<name_length_max>(newer), id,
      older_number, newer_number, first);
  }
};
struct diff_run {
  chunk_no first;
  std::uint64_t count{};
  bool zero{};  // known to be all zero in `newer`
  void fields(auto &f) { f(first, count, zero); }
};
struct diff_reply {
  std::uint64_t size_bytes{};
  std::vector<diff_run> runs;  // ascending, merged within one answer
  chunk_no next;               // complete up to here
  bool finished{};
  void fields(auto &f) { f(size_bytes, limit<diff_runs_max>(runs), next, finished); }
};
// From the server: give back what is reserved and not in use; answered by return_chunks, at once.
struct reclaim {
  void fields(auto &) {}
};
struct chunk_run {
  reservation_id reservation;
  store_chunk first;
  std::uint32_t count{};
  void fields(auto &f) { f(reservation, first, count); }
};
// -> done. The session has no I/O on these chunks. Those that are not its own any more are passed over.
struct return_chunks {
  std::vector<chunk_run> runs;
  void fields(auto &f) { f(limit<return_runs_max>(runs)); }
};
struct store_grown {  // from the server, before it names any of the new chunks
  std::uint64_t chunk_count{};
  void fields(auto &f) { f(chunk_count); }
};
struct set_volume {  // -> done
  unique_id request;
  std::string volume;
  full_policy when_full = full_policy::error;
  void fields(auto &f) { f(request, limit<name_length_max>(volume), when_full); }
};
struct set_snapshot {  // -> done
  unique_id request;
  snapshot_pair snapshot;
  std::uint32_t priority{};  // two's complement
  void fields(auto &f) { f(request, snapshot, priority); }
};
struct hold {  // -> done
  unique_id request;
  snapshot_pair snapshot;
  std::string tag;
  void fields(auto &f) { f(request, snapshot, limit<tag_length_max>(tag)); }
};
struct release {  // -> done
  unique_id request;
  snapshot_pair snapshot;
  std::string tag;
  void fields(auto &f) { f(request, snapshot, limit<tag_length_max>(tag)); }
};
struct resize {  // -> resized. The data device was enlarged: use all of it
  void fields(auto &) {}
};
struct resized {
  std::uint64_t chunks_before{}, chunks_now{};
  std::uint32_t chunk_bytes{};
  void fields(auto &f) { f(chunks_before, chunks_now, chunk_bytes); }
};
// From the agent of a node: which sessions are of processes that it may see, and are not heard of? -> process_list
struct processes {
  unique_id boot;  // the space in which the agent sees processes: like that of a hello
  void fields(auto &f) { f(boot); }
};
struct process_entry {
  std::uint32_t pid{};
  std::uint64_t process_start{};
  void fields(auto &f) { f(pid, process_start); }
};
struct process_list {
  std::vector<process_entry> entries;
  void fields(auto &f) { f(limit<sessions_max>(entries)); }
};
// -> done. Whoever says it has seen that these processes have ended, with all their threads: their sessions end.
struct processes_ended {
  unique_id boot;
  std::vector<process_entry> entries;
  void fields(auto &f) { f(boot, limit<sessions_max>(entries)); }
};
struct status {
  void fields(auto &) {}
};  // -> report (JSON)
struct sessions {
  void fields(auto &) {}
};  // -> report (JSON)
struct report {
  std::string json;
  void fields(auto &f) { f(limit<frame_payload_bytes_max - 16>(json)); }
};

// The order gives the type numbers on the wire, from 1: append only.
using message_kinds =
    std::variant<hello, welcome, failed, renew, renewed, goodbye, done, list, list_reply, open_volume,
                 volume_opened, close_volume, open_snapshot, snapshot_opened, close_snapshot, reserve,
                 reserved, commit, committed, unshared_query, unshared_map, map, map_reply, drop, recall,
                 recall_answer, snapshot_gone, snapshot_gone_answer, freeze, freeze_answer, thaw, create,
                 created, remove, rename, diff, diff_reply, status, sessions, report, reclaim, return_chunks,
                 store_grown, set_volume, set_snapshot, hold, release, resize, resized, processes,
                 process_list, processes_ended>;

// One of them. Copied and moved in messages.cc alone: done by every file that holds a message, the compiler's
// work on these fifty types was most of the time that a build took.
struct message : message_kinds {
  using message_kinds::message_kinds;
  message();
  message(const message &);
  message(message &&) noexcept;
  message &operator=(const message &);
  message &operator=(message &&) noexcept;
  ~message();
};

struct envelope {
  std::uint64_t request = 0;  // chosen by the client, > 0 for requests, rising within a connection
  term_id term;               // of the server; from a client: the highest it has seen
  message body;
};

}  // namespace csnap::wire
