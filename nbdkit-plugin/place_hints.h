// SPDX-License-Identifier: BSD-3-Clause
//
// Where chunks of an open snapshot were found lately, for small reads without the client machine's lock. A
// hint is worth what read_watch says: if nothing was noted there since the place was looked up, it still
// holds. Direct mapped: a chunk that needs a slot takes it.
// 160 KiB for each open snapshot.
//
// Thread-safe without a lock. A slot's turn is odd while it is written; a reader that met a writer sees
// another turn at its end, or an odd one, and has no hint. Acquire and release on the fields keep the loads
// and stores between those of the turn.
#pragma once

#include "metaserver/client/open_snapshots.h"

#include <atomic>
#include <optional>
#include <vector>

namespace csnap::plugin {

class place_hints {
 public:
  struct hint {
    std::uint64_t seen;  // read_watch::changes() when the place was looked up
    client::read_place place;
  };

  std::optional<hint> find(chunk_no chunk) const {
    const slot &s = slot_of(chunk);
    const std::uint64_t turn = s.turn.load(std::memory_order_acquire);
    const std::uint64_t found = s.chunk.load(std::memory_order_acquire);
    const hint h{
        s.seen.load(std::memory_order_acquire),
        {s.kind.load(std::memory_order_acquire), store_chunk{s.store.load(std::memory_order_acquire)}}};
    if (turn % 2 != 0 || s.turn.load(std::memory_order_relaxed) != turn || found != chunk.value) return {};
    return h;
  }

  // Does nothing when another thread writes the same slot: a hint is no promise.
  void note(chunk_no chunk, const hint &h) {
    slot &s = slot_of(chunk);
    std::uint64_t turn = s.turn.load(std::memory_order_relaxed);
    if (turn % 2 != 0 || !s.turn.compare_exchange_strong(turn, turn + 1, std::memory_order_acquire)) return;
    s.chunk.store(chunk.value, std::memory_order_release);
    s.seen.store(h.seen, std::memory_order_release);
    s.kind.store(h.place.kind, std::memory_order_release);
    s.store.store(h.place.chunk.value, std::memory_order_release);
    s.turn.store(turn + 2, std::memory_order_release);
  }

 private:
  static constexpr std::size_t slots = 4096;
  static constexpr std::uint64_t no_chunk = UINT64_MAX;
  struct slot {
    std::atomic<std::uint64_t> turn{0};
    std::atomic<std::uint64_t> chunk{no_chunk};
    std::atomic<std::uint64_t> seen{0};
    std::atomic<std::uint64_t> store{0};
    std::atomic<wire::place_kind> kind{wire::place_kind::zero};
  };
  const slot &slot_of(chunk_no chunk) const { return table_[chunk.value % slots]; }
  slot &slot_of(chunk_no chunk) { return table_[chunk.value % slots]; }

  std::vector<slot> table_ = std::vector<slot>(slots);  // not within: callers may live on small stacks
};

}  // namespace csnap::plugin
