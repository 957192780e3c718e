// SPDX-License-Identifier: BSD-3-Clause
//
// What a store must hold, kept the plainest way, and what an engine says that it holds, in the same form.
// record_source draws records that fit; the same seed and state draw the same ones.
#pragma once

#include "metaserver/store/engine.h"
#include "tests/support/memory_device.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>

namespace csnap::test {

// A tiny store with its metadata on `metadata`: three volumes, nothing else.
inline constexpr std::uint64_t tiny_store_bytes = 5u << 20;
store::geometry tiny_geometry();
void make_tiny_store(memory_device &metadata, const store::geometry &shape = tiny_geometry());

class store_model {
 public:
  void apply(const store::record &r);
  // The first difference between the model and the engine, or "".
  std::string difference(store::engine &e) const;

  std::map<volume_id, store::volume_info> volumes;
  std::map<std::pair<volume_id, snapshot_number>, store::snapshot_info> snapshots;
  std::map<session_id, store::session_info> sessions;
  std::map<reservation_id, std::set<std::uint64_t>> reserved;  // only those with chunks left
  std::map<reservation_id, session_id> reserved_for;
  std::map<std::tuple<volume_id, chunk_no, snapshot_number>, store_chunk> exceptions;
  std::set<std::uint64_t> used;
  std::set<unique_id> requests;
  store::settings values;
  std::uint64_t chunk_count = 0;  // 0: never enlarged

 private:
  void reap(const store::reaped &r);
};

class record_source {
 public:
  record_source(std::uint64_t seed, std::uint64_t volume_chunks)
      : random_(seed), volume_chunks_(volume_chunks) {}
  store::record next(store::engine &e);
  std::mt19937_64 &random() { return random_; }

 private:
  store::record open_session(const store::engine &e);
  store::record create(const store::engine &e);
  store::record reserve(const store::engine &e);
  std::optional<store::record> add_exceptions(store::engine &e);
  std::optional<store::record> change_snapshot(const store::engine &e);
  store::record change_live(const store::snapshot_info &s);
  store::record end_session(const store::engine &e);
  std::optional<store::record> give_back(const store::engine &e);
  std::optional<store::record> change_store(const store::engine &e);
  store::record reap(store::engine &e);
  unique_id draw_id();
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  std::mt19937_64 random_;
  std::uint64_t volume_chunks_;
};

// Jobs as the server runs them. Each returns the first error.
result<> run_log_batch(store::engine &e, block_device &device);
result<> run_checkpoint(store::engine &e, block_device &device);

}  // namespace csnap::test
