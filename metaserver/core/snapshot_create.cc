// SPDX-License-Identifier: BSD-3-Clause
//
// Snapshot create: freeze every possible writer, record when all have answered, thaw into the next epoch. The
// record's place in the line is the one point in time over all nodes and volumes. An answer to the freeze
// says that its client has flushed the origins. What a killed writer had completed another session flushes,
// whichever: else a power cut would take it back, and with it what the snapshot had already shown.
#include "metaserver/core/server_impl.h"

#include "metaserver/base/names.h"

#include <algorithm>

namespace csnap::core {

std::optional<error> server_core::impl::create_is_refused(const wire::create &m,
                                                          std::vector<volume_id> *volumes) {
  if (m.members.empty()) return fail(errc::invalid, "a create without members");
  for (const auto &member : m.members) {
    if (!is_valid_name(member.snapshot)) return invalid_name("snapshot", member.snapshot);
    const auto *volume = engine_.find_volume(member.volume);
    if (!volume) return fail(errc::not_found, "no volume '" + member.volume + "' in this store");
    if (std::find(volumes->begin(), volumes->end(), volume->id) != volumes->end())
      return fail(errc::invalid, "volume '" + member.volume + "' is named twice");
    if (engine_.find_snapshot(volume->id, member.snapshot))
      return fail(errc::exists, "snapshot '" + member.volume + "@" + member.snapshot + "' exists already");
    if (barriers_.of_volume(volume->id))
      return fail(errc::busy, "another create of volume '" + member.volume + "' is under way");
    volumes->push_back(volume->id);
  }
  return {};
}

// The request was carried out before and its answer was lost.
void server_core::impl::answer_created_again(const requester &who, const wire::create &m) {
  const auto *volume = m.members.empty() ? nullptr : engine_.find_volume(m.members.front().volume);
  const auto *made = volume ? engine_.find_snapshot(volume->id, m.members.front().snapshot) : nullptr;
  if (!made)
    return refuse(who, errc::not_found, "the snapshot was created by this request and is gone since");
  answer_durably(who, wire::created{made->number, static_cast<std::uint64_t>(made->created_unix_ms), 0});
}

void server_core::impl::on(const requester &who, const wire::create &m) {
  if (barrier *same = barriers_.of_request(m.request)) {
    same->requester = who.from;
    same->request = who.request;
    return;
  }
  if (was_done(m.request)) return answer_created_again(who, m);
  std::vector<volume_id> volumes;
  if (const auto why = create_is_refused(m, &volumes)) return refuse(who, why->code, why->text);
  barrier &b = barriers_.begin(m, std::move(volumes));
  b.requester = who.from;
  b.request = who.request;
  b.deadline.value = now_.value + engine_.current_settings().barrier_ms;
}

bool server_core::impl::needs_flush(const barrier &b) const {
  return !planted_.dead_not_flushed &&
         std::any_of(b.volumes.begin(), b.volumes.end(), [&](volume_id v) { return unflushed_.contains(v); });
}

// Nobody is stopped for a create that cannot go on: who cannot be reached must come back first.
void server_core::impl::freeze_when_possible(barrier &b) {
  auto writers = sessions_.writers_of(b.volumes);
  if (planted_.expired_not_awaited) std::erase_if(writers, [](const session *s) { return s->expired; });
  const bool all_reachable =
      std::all_of(writers.begin(), writers.end(), [](const session *s) { return s->reachable(); });
  if (in_grace_ || !all_reachable) return;
  if (writers.empty() && needs_flush(b)) {
    session *flusher = sessions_.any_reachable();
    if (!flusher) return;
    writers.push_back(flusher);
  }
  b.now = barrier::phase::freezing;
  b.frozen_at = now_;
  for (const session *s : writers) {
    b.answered.emplace(s->id, false);
    tell(*s, wire::freeze{b.id, b.volumes});
  }
}

// Rules 6 and 7: the freeze, or its answer, may be lost with the connection; so the client is asked again,
// and what it said before does not count.
void server_core::impl::join_barriers(session &s) {
  for (auto &[id, b] : barriers_.all()) {
    const bool takes_part = s.may_write_any(b.volumes) || b.answered.contains(s.id);
    if (b.now != barrier::phase::freezing || !takes_part) continue;
    b.answered[s.id] = false;
    tell(s, wire::freeze{b.id, b.volumes});
  }
}

void server_core::impl::on(const requester &who, const wire::freeze_answer &m) {
  for (auto &[id, b] : barriers_.all()) {
    if (id != m.barrier && !planted_.old_ack) continue;
    const auto participant = b.answered.find(who.session);
    if (participant != b.answered.end()) participant->second = true;
  }
}

bool server_core::impl::record_one_barrier() {
  for (auto &[id, b] : barriers_.all()) {
    if (b.now != barrier::phase::freezing || !b.all_answered()) continue;
    store::snapshots_created record;
    record.request = b.what.request;
    record.number.value = engine_.last_snapshot_number().value + 1;
    record.epoch_nonce = options_.random();
    record.created_unix_ms = options_.unix_ms();
    record.priority = static_cast<std::int32_t>(b.what.priority);
    for (std::size_t i = 0; i < b.volumes.size(); ++i) {
      const auto &name = b.what.members[i].snapshot;
      if (engine_.find_snapshot(b.volumes[i], name)) {  // a rename took the name meanwhile
        abort_barrier(id, fail(errc::exists, "snapshot '" + name + "' exists already"));
        return true;
      }
      record.members.push_back({b.volumes[i], name});
    }
    const auto seq = append(record);
    if (!seq) {
      abort_barrier(id, seq.error());
      return true;
    }
    b.now = barrier::phase::recording;
    for (const volume_id v : b.volumes)
      unflushed_.erase(v);  // who answered has flushed, or there was nothing
    durable_.when(*seq, [this, which = id, when = record.created_unix_ms, number = record.number] {
      finish_barrier(which, when, number);
    });
    return true;
  }
  return false;
}

void server_core::impl::thaw_participants(const barrier &b) {
  wire::thaw out{b.id, {}};
  for (const volume_id v : b.volumes)
    out.volumes.push_back({v, engine_.volumes().at(v).epoch, may_have_shared_chunks(v)});
  for (const auto &[id, answered] : b.answered)
    if (const session *s = sessions_.find(id)) tell(*s, out);
}

void server_core::impl::finish_barrier(barrier_id id, std::int64_t created_unix_ms, snapshot_number number) {
  const barrier &b = *barriers_.find(id);
  thaw_participants(b);
  ++snapshots_created_;
  const auto pause_ms = static_cast<std::uint32_t>(now_.value - b.frozen_at.value);
  create_pause_seconds_.observe(pause_ms / 1000.0);
  answer({b.requester, b.request, {}},
         wire::created{number, static_cast<std::uint64_t>(created_unix_ms), pause_ms});
  barriers_.end(id);
}

void server_core::impl::abort_barrier(barrier_id id, error why) {
  const barrier &b = *barriers_.find(id);
  if (b.freezes()) thaw_participants(b);
  ++barriers_failed_;
  refuse({b.requester, b.request, {}}, why.code, std::move(why.text));
  barriers_.end(id);
}

// Names those that a create waits for.
std::string server_core::impl::silent_sessions(const barrier &b) {
  std::string out;
  for (const auto &[id, s] : sessions_.all()) {
    const auto participant = b.answered.find(id);  // one that only flushes is among them
    const bool is_silent = b.freezes() ? participant != b.answered.end() && !participant->second
                                       : s.may_write_any(b.volumes) && !s.reachable();
    if (!is_silent || out.size() > wire::error_text_max / 2) continue;
    const auto &info = engine_.sessions().at(id);
    out += (out.empty() ? "session " : ", session ") + info.node + " (pid " + std::to_string(info.pid) + ")";
  }
  return out;
}

void server_core::impl::abort_late_barriers() {
  std::vector<barrier_id> late;
  for (const auto &[id, b] : barriers_.all())
    if (b.now != barrier::phase::recording && b.deadline <= now_) late.push_back(id);
  for (const barrier_id id : late) {
    const barrier &b = *barriers_.find(id);
    const std::string who = silent_sessions(b);
    const bool lacks_node = b.now == barrier::phase::waiting && needs_flush(b);
    abort_barrier(
        id, fail(errc::timed_out,
                 !who.empty() ? who + " did not answer the barrier"
                 : lacks_node ? "an nbdkit that wrote was killed, and there is no other to flush what it "
                                "wrote: start one, then try again"
                              : "there was no room to record the snapshot"));
  }
}

}  // namespace csnap::core
