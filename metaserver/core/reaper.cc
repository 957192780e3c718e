// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/reaper.h"

#include <algorithm>

namespace csnap::core {

reaper::reaper(store::engine &engine, std::size_t batch) : engine_(engine), batch_(batch) {
  for (const auto &[id, volume] : engine_.volumes())
    if (has_dead_snapshots(id)) volumes_.push_back(id);
}

bool reaper::has_dead_snapshots(volume_id volume) const {
  const auto &snapshots = engine_.snapshots(volume);
  return std::any_of(snapshots.begin(), snapshots.end(),
                     [](const auto &s) { return s.second.state == store::snapshot_state::dead; });
}

void reaper::snapshot_died(volume_id volume) {
  if (std::find(volumes_.begin(), volumes_.end(), volume) == volumes_.end()) volumes_.push_back(volume);
}

result<> reaper::step() {
  const volume_id volume = volumes_.front();
  const chunk_no first = engine_.volumes().at(volume).reap_cursor;
  const auto span = engine_.plan_reap(volume, first, batch_);
  if (!span) return span.error();
  const std::uint64_t before = engine_.exceptions_of(volume);
  const auto done = engine_.append(store::reaped{volume, first, span->end, span->end_of_volume});
  if (!done) return done.error();
  removed_ += before - engine_.exceptions_of(volume);
  if (!span->end_of_volume) return {};
  volumes_.pop_front();
  if (has_dead_snapshots(volume)) volumes_.push_back(volume);
  return {};
}

reaper_status reaper::status() const {
  reaper_status out;
  out.active = has_work();
  out.exceptions_removed = removed_;
  for (const auto &[id, volume] : engine_.volumes())
    for (const auto &[number, snapshot] : engine_.snapshots(id))
      out.snapshots_waiting += snapshot.state != store::snapshot_state::live;
  if (!out.active) return out;
  const auto &volume = engine_.volumes().at(volumes_.front());
  const double chunks = static_cast<double>(volume.size_bytes) / engine_.shape().chunk_bytes;
  if (chunks > 0) out.done_fraction = static_cast<double>(volume.reap_cursor.value) / chunks;
  return out;
}

}  // namespace csnap::core
