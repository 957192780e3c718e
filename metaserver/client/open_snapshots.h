// SPDX-License-Identifier: BSD-3-Clause
//
// The snapshots that this session has open, and the two ends of a read. A read may use a place when it began
// with the lease valid and, after the device read, the lease is still valid, the snapshot is still there, no
// hello came in between, and every chunk that was read from the origin is still known to be there.
#pragma once

#include "metaserver/client/planted_mistakes.h"
#include "metaserver/client/read_watch.h"
#include "metaserver/client/segment_cache.h"

namespace csnap::client {

class open_snapshots {
 public:
  open_snapshots(std::size_t cache_bytes, std::size_t maps_min, const planted_mistakes &planted)
      : planted_(planted), cache_(cache_bytes, maps_min) {}

  struct handle {
    std::uint64_t chunk_count{};
    std::uint32_t opens{};
    bool gone{};
  };
  using key = std::pair<volume_id, snapshot_number>;
  handle *find(volume_id volume, snapshot_number number);
  handle &opened(const wire::snapshot_opened &o, std::uint64_t chunk_count);
  void close(volume_id volume, snapshot_number number);
  void mark_gone(volume_id volume, snapshot_number number);
  template <class F>
  void for_each(F &&f) {
    for (auto &[k, h] : handles_) f(k.first, k.second, h);
  }

  // The maps that must be asked for are appended to `ask`.
  read_plan begin(volume_id volume, snapshot_number number, chunk_no first, std::uint64_t count,
                  std::vector<wire::map> *ask);
  // Without the lease, which is the caller's to check.
  bool finish(volume_id volume, snapshot_number number, chunk_no first, const read_plan &plan) const;

  // Errors: invalid (the answer does not describe the segment).
  result<> map_came(const wire::map &asked, const wire::map_reply &reply, std::uint64_t store_chunks);
  void map_failed(const wire::map &asked, errc why, boottime_ms now);
  void recall(const wire::recall &r) {
    for (const wire::recall_entry &e : r.entries) cache_.recall(r.volume, e);
    watch_.note_change();
  }
  std::vector<wire::drop> evict();

  // Before a hello is sent: it answers every recall. Not before: what is cached is good while the lease lasts, for
  // the server lets no copy-out be answered until the lease is out or the hello has come.
  void void_delegations();
  // The other place where a planted mistake does so.
  void welcomed();
  // After a failed map the next one waits; true when it may be asked for (something changed).
  bool tick(boottime_ms now);
  boottime_ms held_until() const { return held_until_; }
  void set_lease(boottime_ms until);
  const read_watch &watch() const { return watch_; }

 private:
  const planted_mistakes &planted_;
  std::map<key, handle> handles_;
  segment_cache cache_;
  read_watch watch_;
  std::uint64_t era_ = 1;
  boottime_ms held_until_{INT64_MAX};  // INT64_MAX: not held
};

}  // namespace csnap::client
