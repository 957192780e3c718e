// SPDX-License-Identifier: BSD-3-Clause
//
// What there is, and what changed between two snapshots. Each answer does a bounded piece of work; the client
// asks again for the rest.
#include "metaserver/core/server_impl.h"

#include <algorithm>

namespace csnap::core {

namespace {

constexpr std::size_t diff_exceptions_max = wire::diff_runs_max;  // so that the runs always fit

wire::snapshot_entry entry_of(const store::snapshot_info &s) {
  wire::snapshot_entry out{s.volume,
                           s.number,
                           s.name,
                           static_cast<std::uint64_t>(s.created_unix_ms),
                           s.size_bytes,
                           static_cast<std::uint32_t>(s.priority),
                           static_cast<std::uint8_t>(s.state),
                           s.sacrificed,
                           {}};
  for (const std::string &tag : s.holds) out.holds.push_back({tag});
  return out;
}

void add_run(std::vector<wire::diff_run> &runs, chunk_no chunk, bool zero) {
  const bool goes_on =
      !runs.empty() && runs.back().zero == zero && runs.back().first.value + runs.back().count == chunk.value;
  if (goes_on) ++runs.back().count;
  else runs.push_back({chunk, 1, zero});
}

// A chunk changed when it has an exception numbered in [older, newer); `newer` reads it at its first
// exception numbered at least `newer`.
std::vector<wire::diff_run> changes(const std::vector<store::exception> &listed, snapshot_number older,
                                    snapshot_number newer) {
  std::vector<wire::diff_run> runs;
  for (auto at = listed.begin(); at != listed.end();) {
    const chunk_no chunk = at->chunk;
    bool changed = false;
    const store::exception *read = nullptr;
    for (; at != listed.end() && at->chunk == chunk; ++at) {
      changed = changed || (at->number >= older && at->number < newer);
      if (!read && at->number >= newer) read = &*at;
    }
    if (changed) add_run(runs, chunk, read && read->place.is_zero());
  }
  return runs;
}

}  // namespace

void server_core::impl::on(const requester &who, const wire::list &m) {
  const auto *only = m.volume.empty() ? nullptr : engine_.find_volume(m.volume);
  if (!m.volume.empty() && !only)
    return refuse(who, errc::not_found, "no volume '" + m.volume + "' in this store");
  wire::list_reply out;
  const snapshot_key after{m.after_volume, m.after_number};
  for (const auto &[id, volume] : engine_.volumes()) {
    if ((only && id != only->id) || out.volumes.size() == wire::volumes_max) continue;
    auto &entry = out.volumes.emplace_back(wire::volume_entry{id, volume.name, volume.device,
                                                              volume.size_bytes, 0, volume.epoch.number,
                                                              volume.when_full, volume.sacrificed});
    for (const auto &[number, snapshot] : engine_.snapshots(id)) {
      entry.snapshot_count += snapshot.state == store::snapshot_state::live;
      if (snapshot.state == store::snapshot_state::dead || snapshot_key{id, number} <= after) continue;
      if (out.snapshots.size() < wire::list_entries_max) out.snapshots.push_back(entry_of(snapshot));
      else out.more = true;
    }
  }
  answer_durably(who, std::move(out));
}

result<std::pair<volume_id, std::pair<snapshot_number, snapshot_number>>> server_core::impl::diff_range(
    const requester &who, const wire::diff &m) {
  volume_id volume = m.id;
  std::pair numbers{m.older_number, m.newer_number};
  if (m.volume.empty()) {
    const session *s = sessions_.find(who.session);
    if (!s || !can_read(*s, volume, numbers.first) || !can_read(*s, volume, numbers.second))
      return fail(errc::not_found, "a difference by numbers needs both snapshots open");
  } else {
    const auto older = find_named({m.volume, m.older});
    if (!older) return older.error();
    const auto newer = find_named({m.volume, m.newer});
    if (!newer) return newer.error();
    volume = older->first;
    numbers = {older->second, newer->second};
  }
  if (numbers.first >= numbers.second)
    return fail(errc::invalid, "the first snapshot of a difference must be older than the second");
  return std::pair{volume, numbers};
}

void server_core::impl::on(const requester &who, const wire::diff &m) {
  const auto range = diff_range(who, m);
  if (!range) return refuse(who, range.error().code, range.error().text);
  const auto &[volume, numbers] = *range;
  const chunk_no end{chunks_of(volume)};
  wire::diff_reply out;
  out.size_bytes = engine_.snapshots(volume).at(numbers.second).size_bytes;
  out.next = std::min(m.first, end);
  const auto listed = engine_.list_exceptions(volume, out.next, end, diff_exceptions_max, &out.next);
  if (!listed) return stop(listed.error());
  out.runs = changes(*listed, numbers.first, numbers.second);
  out.finished = out.next >= end;
  answer_durably(who, std::move(out));
}

}  // namespace csnap::core
