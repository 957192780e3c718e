// SPDX-License-Identifier: BSD-3-Clause
//
// What sessions have open: a volume makes the session a writer that barriers wait for, a snapshot makes it a
// reader that deleting waits for.
#include "metaserver/core/server_impl.h"

namespace csnap::core {

// Whether a client may take every chunk for unshared. A dying snapshot counts (rule 14), and in grace nothing
// is said to be unshared (rule 10).
bool server_core::impl::may_have_shared_chunks(volume_id volume) const {
  return in_grace_ || newest_sharing(volume).value != 0;
}

void server_core::impl::on(const requester &who, const wire::open_volume &m) {
  session &s = session_of(who);
  const store::volume_info *volume = nullptr;
  if (!m.name.empty()) volume = engine_.find_volume(m.name);
  else if (has_volume(m.id)) volume = &engine_.volumes().at(m.id);
  if (!volume) return refuse(who, errc::not_found, "no volume '" + m.name + "' in this store");
  s.writing.insert(volume->id);
  wire::volume_opened out;
  out.id = volume->id;
  out.device = volume->device;
  out.size_bytes = volume->size_bytes;
  out.epoch = volume->epoch;
  out.has_snapshots = may_have_shared_chunks(volume->id);
  barrier *b = barriers_.of_volume(volume->id);
  if (b && b->freezes() && !planted_.join_in_barrier) {
    b->answered.emplace(s.id, false);
    out.barrier = b->id;
  }
  answer(who, std::move(out));
}

void server_core::impl::on(const requester &who, const wire::close_volume &m) {
  session &s = session_of(who);
  s.writing.erase(m.id);
  for (auto &[id, b] : barriers_.all())
    if (!s.may_write_any(b.volumes)) b.answered.erase(s.id);
  answer(who, wire::done{});
}

void server_core::impl::on(const requester &who, const wire::open_snapshot &m) {
  session &s = session_of(who);
  volume_id volume = m.id;
  const store::snapshot_info *snapshot = nullptr;
  if (m.volume.empty()) {
    snapshot = live_snapshot(m.id, m.number);
  } else if (const auto *named = engine_.find_volume(m.volume)) {
    volume = named->id;
    snapshot = engine_.find_snapshot(volume, m.snapshot);
  }
  if (!snapshot) return refuse(who, errc::not_found, "no snapshot '" + m.volume + "@" + m.snapshot + "'");
  const snapshot_key key{volume, snapshot->number};
  if (s.snapshots.size() >= wire::snapshots_open_max && !s.snapshots.contains(key))
    return refuse(who, errc::refused, "too many snapshots open");
  s.snapshots.insert(key);
  wire::snapshot_opened out;
  out.id = volume;
  out.number = snapshot->number;
  out.device = engine_.volumes().at(volume).device;
  out.size_bytes = snapshot->size_bytes;
  out.created_unix_ms = static_cast<std::uint64_t>(snapshot->created_unix_ms);
  answer_durably(who, std::move(out));
}

void server_core::impl::release_snapshot(session &s, const snapshot_key &snapshot) {
  s.snapshots.erase(snapshot);
  deletions_.released(snapshot, s.id);
}

void server_core::impl::on(const requester &who, const wire::close_snapshot &m) {
  release_snapshot(session_of(who), {m.id, m.number});
  answer(who, wire::done{});
}

void server_core::impl::on(const requester &who, const wire::snapshot_gone_answer &m) {
  if (live_snapshot(m.volume, m.number)) return breach(who, "an answer about a snapshot that is not gone");
  release_snapshot(session_of(who), {m.volume, m.number});
}

}  // namespace csnap::core
