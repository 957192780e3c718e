// SPDX-License-Identifier: BSD-3-Clause
//
// Runs flushes one at a time and lets all callers that wait share the next one. One at a time, because the
// kernel reports a lost write to one fdatasync() only: a second one running beside it would succeed. And a
// failure is for good: the kernel marks pages that it could not write as clean, so that later successes
// prove nothing (design: an fsync that failed is never retried as if it had not).
#pragma once

#include "metaserver/base/result.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

namespace csnap {

class flush_queue {
 public:
  // `sync` returns result<>; everything written before the call is covered when this succeeds.
  template <class Sync>
  result<> flush(Sync sync) {
    std::unique_lock lock(mutex_);
    const std::uint64_t needed = started_ + 1;  // one that already runs may have missed our writes
    while (finished_ < needed && !failure_) {
      if (started_ != finished_) {
        turn_.wait(lock);
        continue;
      }
      ++started_;
      lock.unlock();
      const result<> outcome = sync();
      lock.lock();
      finished_ = started_;
      if (!outcome) failure_ = outcome.error();
      turn_.notify_all();
    }
    if (failure_) return *failure_;
    return {};
  }

  // What was written since the last good flush is known to be lost: no flush succeeds from now on.
  void fail_for_good(error why) {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(why);
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t started_ = 0;
  std::uint64_t finished_ = 0;
  std::optional<error> failure_;
};

}  // namespace csnap
