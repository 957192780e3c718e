// SPDX-License-Identifier: BSD-3-Clause
//
// When the store has no room for what a write needs, its volume's policy decides. Those who need not fail at
// once wait here; then, one after the other and as far as needed: reservations that nobody uses are called
// back, what is being deleted is waited for, and, for a volume of which the origin comes first, a snapshot of
// such volumes is given up - deleted like any other (rule 14), so that its readers fail and never read other
// data. A write can go on only with chunks that the reaper freed, and that is after the record is durable.
#include "metaserver/base/check.h"
#include "metaserver/core/server_impl.h"

#include <algorithm>
#include <tuple>

namespace csnap::core {

namespace {

constexpr std::int64_t return_wait_ms = 500;  // for those who were asked to give chunks back
constexpr std::int64_t ask_again_ms = 1000;   // what was in use then may be idle now
constexpr std::uint64_t high_percent = 80, critical_percent = 95;
constexpr std::uint64_t quiet_percent = 2;  // below a watermark before it can be crossed again

store_level level_of(std::uint64_t used, std::uint64_t total) {
  if (used >= total) return store_level::full;
  if (used >= (total * critical_percent + 99) / 100) return store_level::critical;
  return used >= (total * high_percent + 99) / 100 ? store_level::high : store_level::ok;
}

}  // namespace

const char *to_text(store_level level) {
  switch (level) {
    case store_level::ok: return "ok";
    case store_level::high: return "high";
    case store_level::critical: return "critical";
    case store_level::full: return "full";
  }
  unreachable("level of the store");
}

full_policy server_core::impl::policy_of(volume_id volume) const {
  const auto found = engine_.volumes().find(volume);
  return found == engine_.volumes().end() ? full_policy::error : found->second.when_full;
}

void server_core::impl::no_room(const requester &who, volume_id volume, wire::message what,
                                const error &why) {
  const auto *reserve = std::get_if<wire::reserve>(&what);
  const bool is_needed = !reserve || reserve->needed;
  if (why.code != errc::no_space || !is_needed || policy_of(volume) == full_policy::error)
    return refuse(who, why.code, why.text);
  if (room_.count_of(who.session) >= wire::waits_per_session_max)
    return refuse(who, errc::busy, "too many requests of the session wait for room in the store");
  room_.all().push_back({who, volume, std::move(what)});
}

// Who lost the connection asks again on the next one.
void server_core::impl::drop_lost_waits() {
  if (planted_.lost_waits_kept) return;
  std::erase_if(room_.all(), [&](const waiting_request &w) {
    return !connections_.find(w.who.from) || !sessions_.find(w.who.session);
  });
}

bool server_core::impl::can_serve(const waiting_request &w) const {
  if (planted_.resize_wakes_nobody && !room_.has_reaped) return false;
  const bool needs_chunks = std::holds_alternative<wire::reserve>(w.what);
  return !engine_.metadata_is_full() && (!needs_chunks || engine_.chunks_free_now() > 0);
}

bool server_core::impl::serve_one_waiting() {
  if (room_.is_empty()) return false;
  drop_lost_waits();
  auto &waiting = room_.all();
  const auto first =
      std::find_if(waiting.begin(), waiting.end(), [&](const auto &w) { return can_serve(w); });
  if (first == waiting.end()) return false;
  const waiting_request next = std::move(*first);
  waiting.erase(first);
  room_.has_called_back = room_.is_full = room_.has_reaped = false;
  if (session_of(next.who).expired) {
    refuse(next.who, errc::gone, "the session's lease has run out: say hello again");
    return true;
  }
  if (const auto *commit = std::get_if<wire::commit>(&next.what)) {
    const std::size_t others = waiting.size();
    on(next.who, *commit);
    return waiting.size() == others;
  }
  if (grant(next.who, std::get<wire::reserve>(next.what))) return true;
  waiting.push_front(next);
  return false;
}

bool server_core::impl::room_is_coming() const {
  const bool is_freed = engine_.usage().chunks_free > engine_.chunks_free_now();  // once that is durable
  return is_freed || !to_close_.empty() || room_.deletions_recorded > 0 || deletions_.any_ready() ||
         deletions_.awaited() > 0 || reaper_.has_work();
}

void server_core::impl::make_room() {
  drop_lost_waits();
  const auto &waiting = room_.all();
  const bool is_stuck = !waiting.empty() && std::none_of(waiting.begin(), waiting.end(),
                                                         [&](const auto &w) { return can_serve(w); });
  if (waiting.empty()) room_.is_full = false;
  if (!is_stuck || !engine_.has_room()) return;
  if (!room_.has_called_back || now_ >= room_.ask_again_at) call_back_reservations();
  if ((room_.awaits_answers() && now_ < room_.answers_until) || room_is_coming()) return;
  // Who is not back yet may have chunks to give; a snapshot that was given up does not come back.
  if (in_grace_) return;
  room_.is_full = true;
  const bool is_wanted = std::any_of(waiting.begin(), waiting.end(), [&](const waiting_request &w) {
    return policy_of(w.volume) == full_policy::origin_first;
  });
  if (is_wanted && !sacrifice_one()) refuse_waiting_origins();
}

void server_core::impl::call_back_reservations() {
  room_.has_called_back = true;
  room_.await_nobody();
  room_.answers_until.value = now_.value + return_wait_ms;
  room_.ask_again_at.value = room_.answers_until.value + ask_again_ms;
  for (const auto &[id, s] : sessions_.all()) {
    if (!s.reachable() || s.chunks_reserved == 0) continue;
    room_.await(id);
    // Behind the grants that are not durable yet: else the client would say that it has nothing, and then get it.
    durable_.when(engine_.last_appended(), [this, who = id] {
      if (const session *asked = sessions_.find(who)) tell(*asked, wire::reclaim{});
    });
  }
}

// The lowest priority, then the oldest. Only of volumes whose owner said so.
const store::snapshot_info *server_core::impl::next_to_sacrifice() const {
  const auto rank = [](const store::snapshot_info &s) { return std::tuple(s.priority, s.number, s.volume); };
  const store::snapshot_info *chosen = nullptr;
  for (const auto &[volume, info] : engine_.volumes()) {
    if (info.when_full != full_policy::origin_first && !planted_.sacrifice_any_volume) continue;
    for (const auto &[number, s] : engine_.snapshots(volume)) {
      const bool may_go =
          s.state == store::snapshot_state::live && (s.holds.empty() || planted_.sacrifice_held);
      if (may_go && (!chosen || (rank(s) < rank(*chosen)) != planted_.sacrifice_newest)) chosen = &s;
    }
  }
  return chosen;
}

// False: none may be given up.
bool server_core::impl::sacrifice_one() {
  const auto *chosen = next_to_sacrifice();
  if (!chosen) return false;
  const snapshot_key key{chosen->volume, chosen->number};
  connections_.put(log_line{true, "the store is full: snapshot " + engine_.volumes().at(key.first).name +
                                      "@" + chosen->name + " (priority " + std::to_string(chosen->priority) +
                                      ") is given up"});
  const auto seq = append(store::snapshot_deleted{{}, key.first, key.second, true});
  if (!seq) return true;  // no page for it before the next checkpoint: tried again then
  if (planted_.sacrifice_at_once) deletions_.announce(key, {}, now_);
  else announce_when_durable(key, *seq);
  return true;
}

void server_core::impl::refuse_waiting_origins() {
  std::erase_if(room_.all(), [&](const waiting_request &w) {
    if (policy_of(w.volume) != full_policy::origin_first) return false;
    refuse(w.who, errc::no_space,
           "the snapshot store is full, and there is no snapshot that may be given up");
    return true;
  });
}

void server_core::impl::on(const requester &who, const wire::return_chunks &m) {
  session &s = session_of(who);
  for (const auto &run : m.runs) return_run(s, run);
  room_.answered(s.id);
  answer_durably(who, wire::done{});
}

// A repetition may name chunks that were given back, and are somebody else's by now.
void server_core::impl::return_run(session &s, const wire::chunk_run &run) {
  const auto found = engine_.reservations().find(run.reservation);
  if (found == engine_.reservations().end() || found->second.session != s.id) return;
  const store::reservation_info from = found->second;
  const std::uint64_t first = std::max(run.first.value, from.first.value);
  const std::uint64_t end = std::min(run.first.value + std::min<std::uint64_t>(run.count, from.count),
                                     from.first.value + from.count);
  const auto is_reserved = [&](std::uint64_t chunk) { return from.reserved[chunk - from.first.value]; };
  for (std::uint64_t at = first; at < end;) {
    if (!is_reserved(at)) {
      ++at;
      continue;
    }
    const std::uint64_t begin = at;
    while (at < end && is_reserved(at)) ++at;
    const auto count = static_cast<std::uint32_t>(at - begin);
    // What cannot be recorded stays the session's, and comes back at its end. A reservation full of holes makes more
    // records than one message may.
    if (!engine_.has_room()) return;
    if (!append(store::chunks_returned{run.reservation, s.id, store_chunk{begin}, count})) return;
    s.chunks_reserved -= count;
  }
}

void server_core::impl::on(const requester &who, const wire::resize &) {
  if (!options_.measure_store)
    return refuse(who, errc::unsupported, "this store cannot be enlarged while it is served");
  const auto bytes = options_.measure_store();
  if (!bytes) return refuse(who, bytes.error().code, bytes.error().text);
  const store::geometry shape = engine_.shape();
  const std::uint64_t fitting =
      *bytes < shape.chunks_end_bytes() ? 0 : (*bytes - shape.chunks_offset_bytes) / shape.chunk_bytes;
  if (fitting == 0)
    return refuse(
        who, errc::invalid,
        "the store's device is smaller than the store: it has " + std::to_string(*bytes) + " bytes");
  const wire::resized same{shape.chunk_count, shape.chunk_count, shape.chunk_bytes};
  if (fitting == shape.chunk_count) return answer_durably(who, same);
  const std::uint64_t wanted = std::min(fitting, store::chunk_count_max(shape));
  if (wanted <= shape.chunk_count)
    return refuse(who, errc::refused, "the store is as large as its metadata area allows: make another");
  const auto seq = append(store::store_grown{wanted});
  if (!seq) return refuse(who, seq.error().code, seq.error().text);
  connections_.put(log_line{false, "the store was enlarged from " + std::to_string(shape.chunk_count) +
                                       " to " + std::to_string(wanted) + " chunks"});
  // Before any answer that names one of the new chunks, since that rests on a later record.
  durable_.when(*seq, [this, wanted] {
    for (const auto &[id, s] : sessions_.all()) tell(s, wire::store_grown{wanted});
  });
  answer_when_durable(who, *seq, wire::resized{shape.chunk_count, wanted, shape.chunk_bytes});
}

// Told once for each crossing; a store that stays near a watermark does not fill the log. Chunks that are only
// reserved do not count: of a small store one client may have all.
void server_core::impl::note_watermark() {
  const auto usage = engine_.usage();
  const std::uint64_t total = usage.chunks_total, used = room_.is_full ? total : usage.chunks_owned;
  const store_level now = level_of(used, total);
  if (now > room_.level) {
    room_.level = now;
    connections_.put(log_line{
        true, "the store is " + std::string(now == store_level::full ? "full" : "nearly full") + ": " +
                  std::to_string(total - usage.chunks_owned) + " of " + std::to_string(total) +
                  " chunks are without a copy; delete snapshots or enlarge it"});
  } else {
    const store_level calm = std::max(now, level_of(used + total * quiet_percent / 100, total));
    const bool is_still_full = room_.level == store_level::full && calm >= store_level::critical;
    if (!is_still_full) room_.level = std::min(room_.level, calm);
  }
}

}  // namespace csnap::core
