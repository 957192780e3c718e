// SPDX-License-Identifier: BSD-3-Clause
//
// Does a record fit the state? For one that the core made: a bug if not. For one from the log: corruption.
#include "metaserver/store/record_fields.h"
#include "metaserver/store/store_state.h"

#include <algorithm>
#include <set>

namespace csnap::store {

struct record_fit {
  using verdict = std::optional<std::string>;
  const store_state &state;
  const catalog_state &catalog = state.catalog;

  verdict operator()(const volume_added &r) const {
    if (r.volume.id.value == 0 || !is_valid_name(r.volume.name)) return "volume id or name";
    if (r.volume.device.size() > device_length_max) return "device text too long";
    const volume_info *same = catalog.find_volume(r.volume.name);
    if (same != nullptr && same->id != r.volume.id) return "volume name is taken";
    return {};
  }
  verdict operator()(const settings_changed &) const { return {}; }
  verdict operator()(const snapshots_created &r) const {
    if (r.number.value != catalog.last_snapshot.value + 1) return "snapshot number is not the next one";
    if (r.members.empty() || r.members.size() > group_size_max) return "size of the group";
    std::set<volume_id> seen;
    for (const auto &m : r.members) {
      if (!catalog.volumes.contains(m.volume)) return "snapshot of an unknown volume";
      if (!seen.insert(m.volume).second) return "volume twice in a group";
      if (!is_valid_name(m.name)) return "snapshot name";
      if (catalog.find_snapshot(m.volume, m.name) != nullptr) return "snapshot name is taken";
    }
    return {};
  }
  verdict in_state(volume_id volume, snapshot_number number, snapshot_state expected) const {
    const auto &all = catalog.detail(volume).snapshots;
    const auto found = all.find(number);
    if (found == all.end()) return "unknown snapshot";
    if (found->second.state != expected) return "snapshot is in another state";
    return {};
  }
  verdict operator()(const snapshot_renamed &r) const {
    if (!is_valid_name(r.name)) return "snapshot name";
    if (catalog.find_snapshot(r.volume, r.name) != nullptr) return "snapshot name is taken";
    return in_state(r.volume, r.number, snapshot_state::live);
  }
  verdict operator()(const snapshot_deleted &r) const {
    const auto wrong = in_state(r.volume, r.number, snapshot_state::live);
    if (!wrong && !holds_of(r).empty()) return "snapshot is held";
    return wrong;
  }
  verdict operator()(const snapshot_changed &r) const {
    return in_state(r.volume, r.number, snapshot_state::live);
  }
  const std::vector<std::string> &holds_of(const auto &r) const {
    return catalog.detail(r.volume).snapshots.at(r.number).holds;
  }
  bool is_held_by(const auto &r) const {
    const auto &tags = holds_of(r);
    return std::find(tags.begin(), tags.end(), r.tag) != tags.end();
  }
  verdict operator()(const snapshot_held &r) const {
    if (const auto wrong = in_state(r.volume, r.number, snapshot_state::live)) return wrong;
    if (!is_valid_tag(r.tag)) return "tag of a hold";
    if (is_held_by(r)) return "tag is there already";
    if (holds_of(r).size() >= holds_max) return "too many holds";
    return {};
  }
  verdict operator()(const snapshot_released &r) const {
    if (const auto wrong = in_state(r.volume, r.number, snapshot_state::live)) return wrong;
    if (!is_held_by(r)) return "snapshot is not held by this tag";
    return {};
  }
  verdict operator()(const volume_changed &r) const {
    if (!catalog.volumes.contains(r.volume)) return "unknown volume";
    return {};
  }
  verdict operator()(const snapshot_died &r) const {
    return in_state(r.volume, r.number, snapshot_state::dying);
  }
  verdict operator()(const exceptions_added &r) const {
    const auto volume = catalog.volumes.find(r.volume);
    if (volume == catalog.volumes.end()) return "exception of an unknown volume";
    if (r.number.value == 0 || r.number > volume->second.epoch.number)
      return "exception numbered above the epoch";
    if (r.entries.size() > exceptions_per_record_max) return "too many exceptions";
    const reservation_info *last = nullptr;
    for (const auto &e : r.entries) {
      if (e.place.is_zero()) {
        if (e.reservation.value != 0) return "a zero chunk needs no reservation";
        continue;
      }
      if (last == nullptr || last->id != e.reservation) {
        const auto found = catalog.reservations.find(e.reservation);
        if (found == catalog.reservations.end()) return "unknown reservation";
        last = &found->second;
      }
      if (last->session != r.session) return "reservation of another session";
      if (e.place < last->first || e.place.value - last->first.value >= last->count ||
          !last->reserved[e.place.value - last->first.value])
        return "chunk is not reserved";
    }
    return {};
  }
  verdict operator()(const session_opened &r) const {
    if (r.session.id <= catalog.last_session && !catalog.sessions.contains(r.session.id))
      return "session id was used before";
    if (r.session.node.size() > node_name_length_max) return "node name too long";
    return {};
  }
  verdict operator()(const session_closed &r) const {
    if (!catalog.sessions.contains(r.session)) return "unknown session";
    for (const volume_id v : r.unflushed)
      if (!catalog.volumes.contains(v)) return "unknown volume";
    return {};
  }
  verdict operator()(const chunks_reserved &r) const {
    if (r.id <= catalog.last_reservation) return "reservation id was used before";
    if (!catalog.sessions.contains(r.session)) return "reservation for an unknown session";
    if (r.count == 0 || r.count > reservation_chunks_max) return "size of a reservation";
    if (r.first.value >= state.shape.chunk_count || r.count > state.shape.chunk_count - r.first.value)
      return "reservation outside of the store";
    for (std::uint64_t i = 0; i < r.count; ++i)
      if (state.chunks.is_busy(r.first.value + i)) return "reserved chunk is not free";
    return {};
  }
  verdict operator()(const chunks_returned &r) const {
    const auto found = catalog.reservations.find(r.id);
    if (found == catalog.reservations.end() || found->second.session != r.session)
      return "return to a reservation of another session";
    const auto &from = found->second;
    if (r.count == 0 || r.first < from.first || r.first.value - from.first.value >= from.count ||
        r.count > from.count - (r.first.value - from.first.value))
      return "return outside of its reservation";
    const auto begin = from.reserved.begin() + static_cast<std::ptrdiff_t>(r.first.value - from.first.value);
    const auto end = begin + static_cast<std::ptrdiff_t>(r.count);
    if (std::find(begin, end, false) != end) return "returned chunk is not reserved";
    return {};
  }
  verdict operator()(const store_grown &r) const {
    if (r.chunk_count <= state.shape.chunk_count || r.chunk_count > chunk_count_max(state.shape))
      return "number of chunks";
    return {};
  }
  verdict operator()(const reaped &r) const {
    const auto found = catalog.volumes.find(r.volume);
    if (found == catalog.volumes.end()) return "reaping an unknown volume";
    if (r.first != found->second.reap_cursor) return "reaping does not go on at the cursor";
    if (r.end < r.first) return "reaping backwards";
    return {};
  }
};

std::optional<std::string> store_state::misfit(const record &r) const {
  return std::visit(record_fit{*this}, r);
}

}  // namespace csnap::store
