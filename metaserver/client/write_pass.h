// SPDX-License-Identifier: BSD-3-Clause
//
// The check-and-count of a write (rule 4) without the client machine's lock: sixteen threads of a connection
// that write unshared chunks would else queue behind whichever of them the kernel has put to sleep.
//
// A writer counts itself first and looks then; the machine closes the pass first and looks at the count then.
// All four steps are sequentially consistent, so either the writer sees the closed pass, or the machine sees
// the writer and its barrier waits for it. Whenever what the pass says could become wrong - a freeze, a new
// epoch, a lost session - the machine closes it before it changes anything else.
//
// Shared by the machine and its callers. begin() and end() may be called by any thread; all else is the
// machine's, under its lock.
#pragma once

#include "metaserver/base/check.h"
#include "metaserver/client/unshared_chunks.h"

#include <atomic>

namespace csnap::client {

class write_pass {
 public:
  explicit write_pass(std::uint64_t chunk_count) : chunk_count_(chunk_count), unshared_(chunk_count) {}

  // True: as client_machine::begin_write() with `admitted`; call end() after the write. False: ask the
  // machine, in any case: this attempt may have been the last thing that a barrier waited for.
  bool begin(chunk_no first, std::uint64_t count, boottime_ms now) {
    check(count > 0 && first.value < chunk_count_ && count <= chunk_count_ - first.value,
          "a write beyond the end of a volume");
    in_flight_.fetch_add(1);
    if (now.value < open_until_ms_.load() && unshared_.all_set(first, count)) return true;
    (void)in_flight_.fetch_sub(1);
    return false;
  }
  // True: nothing is in flight any more and the pass is closed: call client_machine::write_drained().
  bool end() {
    const std::uint64_t before = in_flight_.fetch_sub(1);
    check(before > 0, "a write ended that had not begun");
    return before == 1 && open_until_ms_.load() == closed;
  }

  void count_write() { in_flight_.fetch_add(1); }
  std::uint64_t in_flight() const { return in_flight_.load(); }
  void close() { open_until_ms_.store(closed); }
  void open_until(boottime_ms end) { open_until_ms_.store(end.value); }
  unshared_chunks &unshared() { return unshared_; }

 private:
  static constexpr std::int64_t closed = 0;
  const std::uint64_t chunk_count_;
  std::atomic<std::uint64_t> in_flight_{0};
  std::atomic<std::int64_t> open_until_ms_{closed};
  unshared_chunks unshared_;
};

}  // namespace csnap::client
