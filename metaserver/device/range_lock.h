// SPDX-License-Identifier: BSD-3-Clause
//
// Lets writes of whole blocks run side by side, but none beside a read-modify-write of the same block, which
// would put back what the block held before. Fair: first come, first served among those that overlap.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

namespace csnap {

class range_lock {
  struct entry {
    std::uint64_t begin, end;
    bool exclusive;
  };

 public:
  class guard {
   public:
    guard(range_lock &owner, std::list<entry>::iterator place) : owner_(owner), place_(place) {}
    ~guard() { owner_.release(place_); }
    guard(const guard &) = delete;
    guard &operator=(const guard &) = delete;

   private:
    range_lock &owner_;
    std::list<entry>::iterator place_;
  };

  guard lock_shared(std::uint64_t begin, std::uint64_t end) { return {*this, acquire({begin, end, false})}; }
  guard lock_exclusive(std::uint64_t begin, std::uint64_t end) {
    return {*this, acquire({begin, end, true})};
  }

 private:
  // The list is as long as writes are in flight: a few dozen at most.
  std::list<entry>::iterator acquire(entry wanted) {
    std::unique_lock lock(mutex_);
    const auto place = entries_.insert(entries_.end(), wanted);
    const auto conflicts = [&](const entry &earlier) {
      return earlier.begin < wanted.end && wanted.begin < earlier.end &&
             (earlier.exclusive || wanted.exclusive);
    };
    while (std::any_of(entries_.begin(), place, conflicts)) {
      ++waiting_;
      released_.wait(lock);
      --waiting_;
    }
    return place;
  }
  void release(std::list<entry>::iterator place) {
    std::lock_guard lock(mutex_);
    entries_.erase(place);
    if (waiting_ > 0) released_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable released_;
  std::list<entry> entries_;
  std::size_t waiting_ = 0;
};

}  // namespace csnap
