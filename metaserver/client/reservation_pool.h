// SPDX-License-Identifier: BSD-3-Clause
//
// The store chunks that this session has reserved and may copy into. A chunk is in the pool, taken by the
// data path, or named in a commit: then it is the server's until an answer hands it back (rule 12). Chunks
// are handed out in ascending order and next to each other, so that random first writes become sequential.
#pragma once

#include "metaserver/client/client_machine.h"

#include <map>
#include <unordered_map>

namespace csnap::client {

class reservation_pool {
 public:
  explicit reservation_pool(std::uint32_t reserve_chunks);

  std::uint64_t size() const { return free_count_; }
  std::vector<reserved_chunk> take(std::uint32_t wanted);
  // How many to ask the server for now; 0: none. Counts as asked.
  std::uint32_t ask(std::uint32_t wanted);
  // True once after the server said that the store is full.
  bool take_no_space();

  // False: the server granted what is here already.
  [[nodiscard]] bool granted(const wire::reserved &r);
  void refused(errc why, boottime_ms now);
  // No answer will come.
  void forget_asked() { asked_ = false; }
  // Of this session; what the server granted after it was lost with its answer.
  reservation_id newest() const { return newest_; }
  // Back into the pool. Chunks of an older session are not this session's to use: they are ignored.
  void put_back(std::span<const reserved_chunk> chunks);
  // It is not this session's any more.
  void forget(reservation_id reservation);
  // A new session: nothing is reserved.
  void reset();

  // After a refusal the next question waits; true when it may be asked (something changed).
  bool tick(boottime_ms now);
  boottime_ms held_until() const { return held_until_; }

 private:
  struct run {
    std::uint64_t count{};
    reservation_id reservation;
  };
  void insert(std::uint64_t first, run r);
  void take_from(std::map<std::uint64_t, run>::iterator at, std::uint64_t count,
                 std::vector<reserved_chunk> &out);

  const std::uint32_t reserve_chunks_;
  std::map<std::uint64_t, run> free_;  // by first chunk; disjoint
  std::uint64_t free_count_ = 0;
  std::unordered_map<reservation_id, std::uint64_t> live_;  // chunks of each that are still this session's
  bool asked_ = false, no_space_ = false;
  reservation_id newest_;
  boottime_ms held_until_{INT64_MAX};  // INT64_MAX: not held
};

}  // namespace csnap::client
