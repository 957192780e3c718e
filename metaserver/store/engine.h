// SPDX-License-Identifier: BSD-3-Clause
//
// The store engine: the durable state of one store, as the one master sees it.
//
// It is passive and single-owner: no thread, clock, socket or random number. Reads of tree pages that are
// not cached go to the device at once; all writes are handed out as jobs, which the owner executes (on
// another thread if it likes) and reports back. So group commit, checkpoints beside running commits, crash
// tests and the simulator are the owner's business and need no other code.
//
//   append(record) ... append(record)      state changes at once in memory; nothing is durable
//   take_log_batch() -> run() -> log_batch_durable()      all of them are durable
//   take_checkpoint() -> run pages -> take_root() -> run root -> checkpoint_done()    the log is short again
//
// After a job failed the engine must not be used any more: a failed write or flush of log or root is never
// retried as if it had worked (the server stops; recovery reads what is really there).
// Format: docs/format.md. Rules: docs/architecture.md.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/catalog.h"
#include "metaserver/store/geometry.h"
#include "metaserver/store/records.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace csnap::store {

// Bytes to write at one place of the metadata device.
struct device_write {
  std::uint64_t offset_bytes{};
  std::vector<std::byte> bytes;
};

// One group commit: contiguous blocks of the own log (two writes where the area wraps), each durable.
struct log_batch {
  std::vector<device_write> writes;
  record_seq last;  // everything up to here is durable once the batch is
};

// New pages of a checkpoint. Nothing refers to them yet.
struct checkpoint_pages {
  std::vector<device_write> writes;
  record_seq covers;  // all records up to here are in the pages
};

// The writes of a root (or of a term): a primary and its mirror.
struct root_write {
  std::vector<device_write> writes;
};

// What jobs need: writes each, in order, durably where `how` says so. Stops at the first error.
result<> run_writes(block_device &device, std::span<const device_write> writes, durability how);

struct engine_options {
  std::uint32_t node = 0;  // whose slot and log area are ours
  std::size_t cache_bytes = 64u << 20;
  std::uint64_t election_counter = 0;  // the term's counter is above this and above the store's
  std::string address;                 // where clients reach this master; goes into the slot (<= 255)
  // The election excludes (`file`): all before us are dead, and nobody can be elected until this process is:
  // their areas may be taken. Else they are left alone until predecessors_died(), and this term begins with
  // what nobody else claims. Proof that came before the term was in the store is not meant: somebody else may
  // have been elected since.
  bool predecessors_dead = true;
  bool formatting = false;  // format only: the superblock still says "in progress"
  // Planted mistakes, for the tests that must find them; all off in production. See docs/testing.md.
  std::vector<std::string> planted;
};

struct space_usage {
  std::uint64_t chunks_total{}, chunks_free{}, chunks_reserved{}, chunks_owned{};
  std::uint64_t pages_total{}, pages_free{};
  std::uint64_t exceptions{};  // over all volumes
};

// What one reaper step would look at, so that the core can bound it.
struct reap_span {
  chunk_no end;  // exclusive; where to go on
  bool end_of_volume{};
  std::uint64_t examined{};
};

class engine {
 public:
  // Takes the store over: flushes the device, writes a term above all others to the own slot, reads and
  // replays the newest state, and writes it back as the first root of the new term, which seals the
  // predecessor's log where its end was seen. Blocks; all of that is durable on return.
  // Errors: corrupt (which block, expected, found), io, unsupported (a newer format), invalid (node).
  static result<std::unique_ptr<engine>> take_over(block_device &metadata, const engine_options &options);

  // The same state, read without writing anything (for check, dump, status of a store that is not ours).
  // Records may be appended to it in memory; no job may be taken.
  static result<std::unique_ptr<engine>> open_read_only(block_device &metadata, std::size_t cache_bytes);

  ~engine();
  engine(const engine &) = delete;
  engine &operator=(const engine &) = delete;

  const geometry &shape() const;  // its number of chunks may rise
  term_id term() const;

  // ---- the catalog (memory only, always cheap) ----
  const std::map<volume_id, volume_info> &volumes() const;
  // By number; every state. Empty for an unknown volume.
  const std::map<snapshot_number, snapshot_info> &snapshots(volume_id volume) const;
  const volume_info *find_volume(std::string_view name) const;                        // or null
  const snapshot_info *find_snapshot(volume_id volume, std::string_view name) const;  // live ones, or null
  const std::map<session_id, session_info> &sessions() const;
  const std::map<reservation_id, reservation_info> &reservations() const;
  const settings &current_settings() const;
  // The last ids ever given out; the next one is one more.
  snapshot_number last_snapshot_number() const;
  session_id last_session_id() const;
  reservation_id last_reservation_id() const;
  // Was an administrator's request with this id already carried out? Remembered for the last 1024 of them.
  bool request_done(const unique_id &request) const;
  space_usage usage() const;
  // Can be reserved at once; those freed by records that are not durable yet are not among them.
  std::uint64_t chunks_free_now() const;
  std::uint64_t exceptions_of(volume_id volume) const;

  // ---- the index (may read pages: io, corrupt) ----
  // The exception of `chunk` with the highest number.
  result<std::optional<exception>> last_exception(volume_id volume, chunk_no chunk);
  // The exception that snapshot `number` reads `chunk` from: the first numbered >= number; none: the origin.
  result<std::optional<exception>> find_exception(volume_id volume, chunk_no chunk, snapshot_number number);
  // All exceptions of chunks in [first, end) in order of (chunk, number), at most `limit` of them. When
  // `limit` cut the list, `*resume` is the first chunk that was not completely listed, else `end`; no chunk
  // is listed in part. (A chunk with more than `limit` exceptions is listed whole.)
  result<std::vector<exception>> list_exceptions(volume_id volume, chunk_no first, chunk_no end,
                                                 std::size_t limit, chunk_no *resume);
  // The span from `first` that holds at most about `limit` exceptions.
  result<reap_span> plan_reap(volume_id volume, chunk_no first, std::size_t limit);

  // A run of up to `wanted` free store chunks, contiguous, the longest at hand; not taken by asking: append
  // chunks_reserved in the same breath. Chunks freed by records that are not durable yet are not offered.
  // Errors: no_space.
  result<std::pair<store_chunk, std::uint32_t>> find_free_chunks(std::uint32_t wanted) const;

  // ---- changes ----
  // False while the log or the cache has no room for what one message can append (about 64 KiB of records):
  // run the checkpoint first, then go on.
  bool has_room() const;
  // True when the metadata pages are so few that only deleting, reaping and closing may still be appended.
  bool metadata_is_full() const;
  // Checks the record against the state (our bug if it does not fit: check()) and applies it.
  // Errors: io, corrupt (a page could not be read: the engine must not be used any more), no_space
  // (metadata_is_full() and the record would need pages; nothing was changed).
  result<record_seq> append(const record &r);

  record_seq last_appended() const;
  record_seq last_durable() const;

  // ---- jobs ----
  // What was appended since the last batch; none if there is nothing or a batch is under way.
  std::optional<log_batch> take_log_batch();
  void log_batch_durable();

  // True when a checkpoint should be begun: the log is half full, or many pages are changed.
  bool checkpoint_is_due() const;
  bool checkpoint_is_running() const;
  // All changed pages. The engine goes on: what is changed from now on goes to other pages.
  // Write them (cached), flush the device, then call take_root().
  result<checkpoint_pages> take_checkpoint();
  // Precondition: the pages are flushed and last_durable() >= covers. Write the root durably.
  root_write take_root();
  // The root is durable: the old pages and the log before it are free, and will be written again. Where an
  // election can split, newest_term() must have said after the root became durable that this term is still the
  // highest: else a successor may have begun from the root before, and still need those pages.
  void checkpoint_done();

  // Proof that came after take_over(): no master of an earlier term can write any more. With the next root, which
  // is due at once, this
  // term claims the areas that were theirs, and allocates there as soon as that root is durable.
  void predecessors_died();

 private:
  struct impl;
  explicit engine(std::unique_ptr<impl> implementation);
  std::unique_ptr<impl> impl_;
};

}  // namespace csnap::store
