// SPDX-License-Identifier: BSD-3-Clause
//
// Snapshots renamed and deleted. Deleted is dying: its name is free at once, but it keeps its chunks shared
// until no session can complete a read of it any more (rule 14). Then it is dead, and the reaper's.
#include "metaserver/core/server_impl.h"

#include "metaserver/base/names.h"

namespace csnap::core {

result<snapshot_key> server_core::impl::find_named(const wire::snapshot_pair &name) const {
  const auto *volume = engine_.find_volume(name.volume);
  if (!volume) return fail(errc::not_found, "no volume '" + name.volume + "' in this store");
  const auto *snapshot = engine_.find_snapshot(volume->id, name.snapshot);
  if (!snapshot) return fail(errc::not_found, "no snapshot '" + name.volume + "@" + name.snapshot + "'");
  return snapshot_key{volume->id, snapshot->number};
}

void server_core::impl::on(const requester &who, const wire::remove &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  const auto key = find_named(m.snapshot);
  if (!key) return refuse(who, key.error().code, key.error().text);
  const auto &tags = live_snapshot(key->first, key->second)->holds;
  if (!tags.empty())
    return refuse(who, errc::refused,
                  "snapshot '" + m.snapshot.volume + "@" + m.snapshot.snapshot + "' is held by '" +
                      tags.front() + "': release that first");
  const auto seq = append(store::snapshot_deleted{m.request, key->first, key->second});
  if (!seq) return refuse(who, seq.error().code, seq.error().text);
  answer_when_durable(who, *seq, wire::done{});
  if (planted_.free_at_once) return deletions_.announce(*key, {}, now_);
  announce_when_durable(*key, *seq);
}

void server_core::impl::announce_when_durable(const snapshot_key &snapshot, record_seq deleted) {
  ++room_.deletions_recorded;
  durable_.when(deleted, [this, snapshot] {
    --room_.deletions_recorded;
    announce_deletion(snapshot);
  });
}

void server_core::impl::announce_deletion(const snapshot_key &snapshot) {
  std::set<session_id> readers;
  for (const session *s : sessions_.readers_of(snapshot)) {
    readers.insert(s->id);
    tell(*s, wire::snapshot_gone{snapshot.first, snapshot.second});
  }
  deletions_.announce(snapshot, std::move(readers), now_);
}

// In grace an earlier master's reader may still be at it.
bool server_core::impl::end_one_snapshot() {
  if (in_grace_ || !deletions_.any_ready()) return false;
  const auto [volume, number] = deletions_.take_ready();
  const auto seq = append(store::snapshot_died{volume, number});
  if (!seq) stop(seq.error());
  else reaper_.snapshot_died(volume);
  return true;
}

void server_core::impl::on(const requester &who, const wire::rename &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  if (!is_valid_name(m.new_name)) {
    const auto why = invalid_name("snapshot", m.new_name);
    return refuse(who, why.code, why.text);
  }
  const auto key = find_named(m.snapshot);
  if (!key) return refuse(who, key.error().code, key.error().text);
  if (engine_.find_snapshot(key->first, m.new_name))
    return refuse(who, errc::exists,
                  "snapshot '" + m.snapshot.volume + "@" + m.new_name + "' exists already");
  const auto seq = append(store::snapshot_renamed{m.request, key->first, key->second, m.new_name});
  if (!seq) return refuse(who, seq.error().code, seq.error().text);
  answer_when_durable(who, *seq, wire::done{});
}

}  // namespace csnap::core
