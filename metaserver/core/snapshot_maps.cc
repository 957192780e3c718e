// SPDX-License-Identifier: BSD-3-Clause
//
// Where snapshots lie: maps, the delegations that come with them, and the recalls that end what they said.
#include "metaserver/core/server_impl.h"

#include <algorithm>

namespace csnap::core {

namespace {

// Up to here all exceptions of a segment are listed at once; chunks beyond are looked up one by one, so that
// a long history costs no more than its chunks.
constexpr std::size_t listed_at_once = 1024;

wire::map_run run_of(const std::optional<store::exception> &e) {
  if (!e) return {1, wire::place_kind::origin, {}};
  if (e->place.is_zero()) return {1, wire::place_kind::zero, {}};
  return {1, wire::place_kind::store, e->place};
}

void add_run(std::vector<wire::map_run> &runs, const wire::map_run &next) {
  wire::map_run *last = runs.empty() ? nullptr : &runs.back();
  const bool goes_on =
      last && last->kind == next.kind &&
      (next.kind != wire::place_kind::store || last->first.value + last->count == next.first.value);
  if (goes_on) ++last->count;
  else runs.push_back(next);
}

}  // namespace

// The record of a chunk of the segment that is not durable yet, the newest of them.
std::optional<record_seq> server_core::impl::undurable_in_segment(volume_id volume, chunk_no first) const {
  std::optional<record_seq> out;
  if (pending_.size() == 0) return out;
  for (std::uint32_t i = 0; i < wire::segment_chunks; ++i)
    out = std::max(out, pending_.undurable(volume, chunk_no{first.value + i}));
  return out;
}

result<std::vector<wire::map_run>> server_core::impl::segment_map(volume_id volume, snapshot_number number,
                                                                  chunk_no first) const {
  const chunk_no end{std::min(first.value + wire::segment_chunks, chunks_of(volume))};
  chunk_no listed_end;
  const auto listed = engine_.list_exceptions(volume, first, end, listed_at_once, &listed_end);
  if (!listed) return listed.error();
  std::vector<wire::map_run> runs;
  auto at = listed->begin();
  for (chunk_no c = first; c < end; ++c.value) {
    std::optional<store::exception> e;
    if (c < listed_end) {
      for (; at != listed->end() && at->chunk <= c; ++at)
        if (at->chunk == c && at->number >= number && !e) e = *at;
    } else {
      const auto found = engine_.find_exception(volume, c, number);
      if (!found) return found.error();
      e = *found;
    }
    if (planted_.holders_early && pending_.undurable(volume, c)) e.reset();
    add_run(runs, run_of(e));
  }
  return runs;
}

void server_core::impl::on(const requester &who, const wire::map &m) {
  session &s = session_of(who);
  if (!can_read(s, m.volume, m.number)) return refuse(who, errc::not_found, "the snapshot is not open");
  if (m.first.value % wire::segment_chunks || m.first.value >= chunks_of(m.volume))
    return breach(who, "a map request that is not of a segment of its volume");
  // Rule 1: an exception is visible only when no crash can undo it.
  const auto record = undurable_in_segment(m.volume, m.first);
  if (record && !planted_.place_before_durable && !planted_.holders_early)
    return durable_.when(*record, [this, who, m] {
      const session *again = sessions_.find(who.session);
      if (again && !again->expired && connections_.find(who.from)) on(who, m);
      else if (again) refuse(who, errc::gone, "the session's lease has run out: say hello again");
    });
  auto runs = segment_map(m.volume, m.number, m.first);
  if (!runs) return stop(runs.error());
  if (!delegations_.add(s.id, m.volume, m.first))
    return refuse(who, errc::refused, "too many maps in use: drop some");
  answer(who, wire::map_reply{std::move(*runs)});
}

void server_core::impl::on(const requester &who, const wire::drop &m) {
  delegations_.drop(who.session, m.volume, m.first);
}

void server_core::impl::on(const requester &who, const wire::recall_answer &m) {
  pending_.recall_answered(who.session, m.id);
}

}  // namespace csnap::core
