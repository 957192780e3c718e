// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/barrier_drain.h"

#include <iterator>
#include <utility>

namespace csnap::plugin {

void barrier_drain::start(hooks h) {
  hooks_ = std::move(h);
  thread_ = std::thread([this] { work(); });
}

void barrier_drain::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wakes_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void barrier_drain::look_again() {
  const std::lock_guard lock(mutex_);
  look_ = true;
  wakes_.notify_one();
}

void barrier_drain::add(std::vector<drain> drains) {
  const std::lock_guard lock(mutex_);
  std::move(drains.begin(), drains.end(), std::back_inserter(drains_));
  wakes_.notify_one();
}

void barrier_drain::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wakes_.wait(lock, [&] { return stopping_ || look_ || !drains_.empty(); });
    auto todo = std::exchange(drains_, {});
    const bool look = std::exchange(look_, false);
    lock.unlock();
    if (look) {
      auto more = hooks_.take_drains();
      std::move(more.begin(), more.end(), std::back_inserter(todo));
    }
    for (const drain &what : todo) flush_and_answer(what);
    lock.lock();
  }
}

void barrier_drain::flush_and_answer(const drain &what) {
  for (const volume_id volume : what.volumes)
    if (const auto flushed = hooks_.flush_origin(volume); !flushed) {
      // No answer: the create fails with our name. Saying "drained" would let a snapshot hold lost writes.
      hooks_.log("cannot flush volume " + std::to_string(volume.value) +
                 " for a new snapshot, which will fail: " + flushed.error().text);
      return;
    }
  hooks_.drained(what.barrier);
}

}  // namespace csnap::plugin
