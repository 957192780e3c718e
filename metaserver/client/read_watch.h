// SPDX-License-Identifier: BSD-3-Clause
//
// The end of a snapshot read without the client machine's lock: if nothing at all was recalled, dropped,
// voided or deleted since the read began and the lease holds, then its chunks were not touched either. When
// something was, client_machine::finish_read() looks at which chunks it concerned.
//
// A recall is noted here before it is answered, and only its answer lets the origin be overwritten: a read
// that could have seen the new data finds the change noted.
//
// still_holds() may be called by any thread; all else is the machine's, under its lock.
#pragma once

#include "metaserver/base/ids.h"

#include <atomic>

namespace csnap::client {

class read_watch {
 public:
  // `seen`: changes() when the read began.
  bool still_holds(std::uint64_t seen, boottime_ms now) const {
    return changes_.load() == seen && now.value < lease_until_ms_.load();
  }

  std::uint64_t changes() const { return changes_.load(); }
  void note_change() { changes_.fetch_add(1); }
  void set_lease(boottime_ms until) { lease_until_ms_.store(until.value); }

 private:
  std::atomic<std::uint64_t> changes_{1};
  std::atomic<std::int64_t> lease_until_ms_{0};
};

}  // namespace csnap::client
