// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/file_election.h"

#include <utility>

namespace csnap {

void file_election::acquire(events what_happens) {
  events_ = std::move(what_happens);
  try_at(std::chrono::milliseconds(0));
}

void file_election::release() {
  events_ = {};
  retry_.cancel();
  lock_.unlock();
}

void file_election::try_at(std::chrono::milliseconds delay) {
  retry_.expires_after(delay);
  retry_.async_wait([this](const boost::system::error_code &failed) {
    if (!failed) try_now();
  });
}

void file_election::try_now() {
  if (!events_.acquired) return;  // released while the timer's handler was on its way
  const result<bool> locked = lock_.try_lock();
  if (!locked) events_.lost(locked.error().text);
  else if (*locked) events_.acquired(0);
  else try_at(retry_interval);
}

}  // namespace csnap
