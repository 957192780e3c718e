// SPDX-License-Identifier: BSD-3-Clause
//
// The store chunks that this session has reserved and may copy into. A chunk is in the pool, taken by the
// data path, or named in a commit: then it is the server's until an answer hands it back (rule 12). Chunks
// are handed out in ascending order and next to each other, so that random first writes become sequential.
#pragma once

#include "metaserver/client/client_machine.h"

#include <map>
#include <optional>
#include <unordered_map>

namespace csnap::client {

class reservation_pool {
 public:
  explicit reservation_pool(std::uint32_t reserve_chunks);

  std::uint64_t size() const { return free_count_; }
  std::vector<reserved_chunk> take(std::uint32_t wanted);
  // What to ask the server for now, if anything; counts as asked. One question for each volume is under way.
  // `is_needed`: a write waits, and there was nothing to take.
  std::optional<wire::reserve> ask(volume_id volume, std::uint32_t wanted, bool is_needed);
  // Of all volumes and sessions; each has the number that this gives after it.
  std::uint64_t questions_asked() const { return questions_asked_; }
  // The server said that there is no room for what a write of this volume needed, to a question asked after these.
  bool is_full_since(volume_id volume, std::uint64_t questions_before) const;

  // False: the server granted what is here already.
  [[nodiscard]] bool granted(const wire::reserve &asked, const wire::reserved &r);
  void refused(const wire::reserve &asked, errc why, boottime_ms now);
  // No answer will come.
  void forget_asked();
  // Of this session; what the server granted after it was lost with its answer.
  reservation_id newest() const { return newest_; }
  // Back into the pool. Chunks of an older session are not this session's to use: they are ignored.
  void put_back(std::span<const reserved_chunk> chunks);
  // It is not this session's any more.
  void forget(reservation_id reservation);
  // What the server calls back: takes out what nobody is about to use, as far as one message can say it.
  wire::return_chunks give_back();
  // A new session: nothing is reserved.
  void reset();

  // After a refusal the next question waits; true when it may be asked (something changed).
  bool tick(boottime_ms now);
  boottime_ms held_until() const;

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
  struct question {
    bool is_asked = false;
    std::uint64_t number = 0,
                  refused = 0;          // of the newest question; of the newest that was answered no_space
    std::uint32_t wanted = 0;           // by the writes that it is needed for
    boottime_ms held_until{INT64_MAX};  // INT64_MAX: not held
    boottime_ms ahead_held_until{INT64_MAX};  // the same, of chunks that no write needs yet
  };
  std::map<volume_id, question> questions_;
  std::uint64_t questions_asked_ = 0;  // never starts again, for a wait may outlive a session
  std::uint64_t kept_ = 0;             // granted for a write that has not taken them yet: not given back
  reservation_id newest_;
};

}  // namespace csnap::client
