// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/open_snapshots.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::client {

namespace {
constexpr std::int64_t hold_after_failure_ms = 100;
constexpr boottime_ms not_held{INT64_MAX};

read_place place_of(std::uint64_t stored) {
  if (stored == segment_cache::place_zero) return {wire::place_kind::zero, {}};
  if (stored == segment_cache::place_origin) return {wire::place_kind::origin, {}};
  return {wire::place_kind::store, store_chunk{stored}};
}
}  // namespace

open_snapshots::handle *open_snapshots::find(volume_id volume, snapshot_number number) {
  const auto found = handles_.find({volume, number});
  return found == handles_.end() ? nullptr : &found->second;
}

open_snapshots::handle &open_snapshots::opened(const wire::snapshot_opened &o, std::uint64_t chunk_count) {
  handle &h = handles_[{o.id, o.number}];
  h.chunk_count = chunk_count;
  return h;
}

void open_snapshots::close(volume_id volume, snapshot_number number) {
  handles_.erase({volume, number});
  cache_.forget(volume, number);
  watch_.note_change();
}

void open_snapshots::mark_gone(volume_id volume, snapshot_number number) {
  if (planted_.split_mark) {
    ++era_;
    return watch_.note_change();
  }
  if (handle *h = find(volume, number)) h->gone = true;
  cache_.forget(volume, number);
  watch_.note_change();
}

read_plan open_snapshots::begin(volume_id volume, snapshot_number number, chunk_no first, std::uint64_t count,
                                std::vector<wire::map> *ask) {
  const handle *h = find(volume, number);
  if (h == nullptr || h->gone) return {read_state::gone, 0, 0, {}};
  check(count > 0 && first.value < h->chunk_count && count <= h->chunk_count - first.value,
        "a read beyond the end of a snapshot");
  read_plan plan{read_state::ready, era_, watch_.changes(), {}};
  plan.places.reserve(count);
  const std::uint64_t end = first.value + count;
  for (std::uint64_t at = first.value; at < end;) {
    const std::uint64_t segment = at / wire::segment_chunks;
    const std::uint64_t stop = std::min(end, (segment + 1) * wire::segment_chunks);
    const segment_cache::places *where = cache_.use(volume, number, segment);
    bool known = where != nullptr;
    for (; known && at < stop; ++at) {
      const std::uint64_t stored = (*where)[at % wire::segment_chunks];
      known = stored != segment_cache::place_unknown;
      if (known) plan.places.push_back(place_of(stored));
    }
    if (!known) {
      plan.what = read_state::wait;
      if (held_until_ == not_held && cache_.fetch(volume, number, segment))
        ask->push_back({volume, number, chunk_no{segment * wire::segment_chunks}});
    }
    at = stop;
  }
  if (plan.what == read_state::wait) plan.places.clear();
  return plan;
}

bool open_snapshots::finish(volume_id volume, snapshot_number number, chunk_no first,
                            const read_plan &plan) const {
  if (planted_.no_recheck) return true;
  const auto h = handles_.find({volume, number});
  if (h != handles_.end() && h->second.gone && planted_.gone_keeps_reads) return true;
  if (h == handles_.end() || h->second.gone || plan.era != era_) return false;
  for (std::size_t i = 0; i < plan.places.size(); ++i) {
    if (plan.places[i].kind != wire::place_kind::origin) continue;
    const std::uint64_t chunk = first.value + i;
    const segment_cache::places *where = cache_.peek(volume, number, chunk / wire::segment_chunks);
    if (where == nullptr && planted_.drop_keeps_reads) continue;
    if (where == nullptr || (*where)[chunk % wire::segment_chunks] != segment_cache::place_origin)
      return false;
  }
  return true;
}

result<> open_snapshots::map_came(const wire::map &asked, const wire::map_reply &reply,
                                  std::uint64_t store_chunks) {
  const std::uint64_t segment = asked.first.value / wire::segment_chunks;
  const handle *h = find(asked.volume, asked.number);
  if (h == nullptr || h->gone) {
    cache_.not_fetched(asked.volume, asked.number, segment);
    return {};
  }
  const std::uint64_t wanted =
      std::min<std::uint64_t>(wire::segment_chunks, h->chunk_count - asked.first.value);
  segment_cache::places where;
  where.fill(segment_cache::place_unknown);
  std::uint64_t filled = 0;
  for (const wire::map_run &run : reply.runs) {
    const bool in_store = run.kind == wire::place_kind::store;
    if (run.count == 0 || run.count > wanted - filled)
      return fail(errc::invalid, "a map that does not fit its segment");
    if (in_store && (run.first.value >= store_chunks || run.count > store_chunks - run.first.value))
      return fail(errc::invalid, "a map that points behind the end of the store");
    for (std::uint64_t i = 0; i < run.count; ++i)
      where[filled++] = in_store                             ? run.first.value + i
                        : run.kind == wire::place_kind::zero ? segment_cache::place_zero
                                                             : segment_cache::place_origin;
  }
  if (filled != wanted) return fail(errc::invalid, "a map that ends before its segment");
  cache_.fetched(asked.volume, asked.number, segment, where);
  return {};
}

void open_snapshots::map_failed(const wire::map &asked, errc why, boottime_ms now) {
  cache_.not_fetched(asked.volume, asked.number, asked.first.value / wire::segment_chunks);
  if (why == errc::not_found) mark_gone(asked.volume, asked.number);
  else held_until_ = boottime_ms{now.value + hold_after_failure_ms};
}

void open_snapshots::void_delegations() {
  if (planted_.void_at_welcome) return;
  ++era_;
  cache_.clear();
  watch_.note_change();
  held_until_ = not_held;
}

void open_snapshots::welcomed() {
  if (!planted_.void_at_welcome) return;
  ++era_;
  cache_.clear();
  watch_.note_change();
}

std::vector<wire::drop> open_snapshots::evict() {
  auto dropped = cache_.evict();
  if (!dropped.empty()) watch_.note_change();
  return dropped;
}

void open_snapshots::set_lease(boottime_ms until) {
  watch_.set_lease(planted_.no_lease_check ? boottime_ms{INT64_MAX} : until);
}

bool open_snapshots::tick(boottime_ms now) {
  if (now < held_until_) return false;
  held_until_ = not_held;
  return true;
}

}  // namespace csnap::client
