// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/catalog_state.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::store {

const catalog_state::volume_detail &catalog_state::detail(volume_id volume) const {
  static const volume_detail none;
  const auto found = details_.find(volume);
  return found == details_.end() ? none : found->second;
}

const volume_info *catalog_state::find_volume(std::string_view name) const {
  const auto found = volume_names_.find(std::string(name));
  return found == volume_names_.end() ? nullptr : &volumes.at(found->second);
}

const snapshot_info *catalog_state::find_snapshot(volume_id volume, std::string_view name) const {
  const volume_detail &d = detail(volume);
  const auto found = d.live_names.find(std::string(name));
  return found == d.live_names.end() ? nullptr : &d.snapshots.at(found->second);
}

std::vector<unique_id> catalog_state::requests_in_order() const {
  std::map<std::uint64_t, unique_id> by_counter;
  for (const auto &[place, request] : requests_) by_counter[request.counter] = request.id;
  std::vector<unique_id> out;
  for (const auto &[counter, id] : by_counter) out.push_back(id);
  return out;
}

void catalog_state::note(catalog_kind kind, std::uint64_t id, std::uint64_t sub) {
  changed_.insert(tree_key::of(static_cast<std::uint32_t>(kind), id, sub));
}

void catalog_state::put_volume(const volume_info &volume) {
  volume_info &entry = volumes[volume.id];
  if (!entry.name.empty()) volume_names_.erase(entry.name);
  if (entry.device != volume.device) note(catalog_kind::volume_device, volume.id.value);
  entry = volume;
  volume_names_[volume.name] = volume.id;
  details_[volume.id];
  note(catalog_kind::volume, volume.id.value);
}

void catalog_state::put_snapshot(const snapshot_info &snapshot) {
  volume_detail &d = details_[snapshot.volume];
  const auto old = d.snapshots.find(snapshot.number);
  const bool was_held = old != d.snapshots.end() && !old->second.holds.empty();
  if (was_held || !snapshot.holds.empty())
    note(catalog_kind::holds, snapshot.volume.value, snapshot.number.value);
  if (old != d.snapshots.end()) {
    if (old->second.state == snapshot_state::live) d.live_names.erase(old->second.name);
    if (old->second.counts_for_sharing()) std::erase(d.sharing, snapshot.number);
  }
  d.snapshots[snapshot.number] = snapshot;
  if (snapshot.state == snapshot_state::live) d.live_names[snapshot.name] = snapshot.number;
  if (snapshot.counts_for_sharing())
    d.sharing.insert(std::upper_bound(d.sharing.begin(), d.sharing.end(), snapshot.number), snapshot.number);
  note(catalog_kind::snapshot, snapshot.volume.value, snapshot.number.value);
}

void catalog_state::remove_snapshot(volume_id volume, snapshot_number number) {
  volume_detail &d = details_[volume];
  check(d.snapshots.at(number).state == snapshot_state::dead, "forgetting a snapshot that is not dead");
  d.snapshots.erase(number);
  note(catalog_kind::snapshot, volume.value, number.value);
}

void catalog_state::remember_request(const unique_id &request) {
  if (request == unique_id{}) return;
  ++request_counter;
  const std::uint64_t place = request_counter % requests_remembered;
  if (const auto old = requests_.find(place); old != requests_.end()) known_requests_.erase(old->second.id);
  requests_[place] = {request_counter, request};
  known_requests_.insert(request);
  note(catalog_kind::request, place);
}

void catalog_state::put_reservation(reservation_info reservation) {
  chunks_reserved +=
      static_cast<std::uint64_t>(std::count(reservation.reserved.begin(), reservation.reserved.end(), true));
  note(catalog_kind::reservation, reservation.id.value);
  const reservation_id id = reservation.id;
  check(reservations.emplace(id, std::move(reservation)).second, "reservation id used twice");
}

void catalog_state::remove_reservation(reservation_id id) {
  const auto found = reservations.find(id);
  check(found != reservations.end(), "no such reservation");
  const auto &bits = found->second.reserved;
  chunks_reserved -= static_cast<std::uint64_t>(std::count(bits.begin(), bits.end(), true));
  reservations.erase(found);
  note(catalog_kind::reservation, id.value);
}

}  // namespace csnap::store
