// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/told_election.h"

namespace csnap {

void told_election::release() {
  events_ = {};
  if (lock_) lock_->unlock();
}

result<> told_election::promote() {
  if (!events_.acquired) return fail(errc::shutting_down, "the server is stopping");
  if (lock_) {
    const result<bool> shared = lock_->try_share();
    if (!shared) return shared.error();
    if (!*shared)
      return fail(
          errc::busy,
          "another program on this host uses the store alone: a server with --election file, or csnap");
  }
  events_.acquired(0);
  return {};
}

}  // namespace csnap
