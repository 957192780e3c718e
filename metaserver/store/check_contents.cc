// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/check_contents.h"

#include "metaserver/base/names.h"

#include <set>

namespace csnap::store {

namespace {

std::string expected_found(const std::string &what, const std::string &expected, std::uint64_t found) {
  return what + ": expected " + expected + ", found " + std::to_string(found);
}

void check_volume(const volume_info &volume, const catalog_state &catalog, check_findings &findings) {
  const std::string who = "volume " + std::to_string(volume.id.value);
  if (!is_valid_name(volume.name))
    findings.error(who + ": name: expected a valid one, found '" + volume.name + "'");
  if (volume.epoch.number > catalog.last_snapshot)
    findings.error(expected_found(who + ": epoch", "at most " + std::to_string(catalog.last_snapshot.value),
                                  volume.epoch.number.value));
  std::set<std::string> names;
  for (const auto &[number, snapshot] : catalog.detail(volume.id).snapshots) {
    ++findings.report().snapshots;
    const std::string which = who + ", snapshot " + std::to_string(number.value);
    if (number.value == 0 || number > volume.epoch.number)
      findings.error(expected_found(which + ": number",
                                    "1 to the volume's epoch " + std::to_string(volume.epoch.number.value),
                                    number.value));
    if (!is_valid_name(snapshot.name))
      findings.error(which + ": name: expected a valid one, found '" + snapshot.name + "'");
    for (const std::string &tag : snapshot.holds)
      if (!is_valid_tag(tag)) findings.error(which + ": hold: expected a valid tag, found '" + tag + "'");
    if (!snapshot.holds.empty() && snapshot.state != snapshot_state::live)
      findings.error(which + ": holds: expected none on one that was deleted, found " +
                     snapshot.holds.front());
    if (snapshot.state == snapshot_state::live && !names.insert(snapshot.name).second)
      findings.error(which + ": name: expected one that no other live snapshot has, found " + snapshot.name);
  }
}

void check_reservation(const reservation_info &r, const catalog_state &catalog, const geometry &shape,
                       check_findings &findings) {
  const std::string who = "reservation " + std::to_string(r.id.value);
  if (!catalog.sessions.contains(r.session))
    findings.error(expected_found(who + ": session", "one that exists", r.session.value));
  if (r.id > catalog.last_reservation)
    findings.error(expected_found(who + ": id", "at most " + std::to_string(catalog.last_reservation.value),
                                  r.id.value));
  if (r.first.value >= shape.chunk_count || r.count > shape.chunk_count - r.first.value)
    findings.error(
        expected_found(who + ": first chunk",
                       "a run of " + std::to_string(r.count) + " below " + std::to_string(shape.chunk_count),
                       r.first.value));
}

}  // namespace

void chunk_owners::add(store_chunk place, const std::string &who) {
  if (place.value >= owned_.size())
    return findings_.error(
        expected_found(who + ": store chunk", "below " + std::to_string(owned_.size()), place.value));
  if (owned_[place.value])
    findings_.error("store chunk " + std::to_string(place.value) + ": owners: expected 1, found " + who +
                    " beside another");
  owned_[place.value] = true;
}

void chunk_owners::add_reserved(const std::map<reservation_id, reservation_info> &reservations) {
  for (const auto &[id, r] : reservations)
    for (std::uint32_t i = 0; i < r.count; ++i)
      if (r.reserved[i]) add(store_chunk{r.first.value + i}, "reservation " + std::to_string(id.value));
}

void chunk_owners::compare(const space_map &map, const char *when) {
  for (std::uint64_t i = 0; i < owned_.size();) {
    const bool busy = map.is_busy(i), owned = owned_[i];
    const std::uint64_t first = i;
    while (i < owned_.size() && map.is_busy(i) == busy && owned_[i] == owned) ++i;
    if (busy == owned) continue;
    findings_.error("store chunks " + std::to_string(first) + " to " + std::to_string(i - 1) + " (" + when +
                    "): map: expected " + (owned ? "used" : "free") + ", found " +
                    (busy ? "used: they leak" : "free: they could be given out again"));
  }
}

void check_exception(const tree_key &key, std::span<const std::byte> value, const catalog_state &catalog,
                     const geometry &shape, check_findings &findings) {
  const std::string who = "exception (volume " + std::to_string(key.first()) + ", chunk " +
                          std::to_string(key.second()) + ", number " + std::to_string(key.third()) + ")";
  const auto volume = catalog.volumes.find(volume_id{key.first()});
  if (volume == catalog.volumes.end())
    return findings.error(expected_found(who + ": volume", "one that exists", key.first()));
  const std::uint64_t chunks = (volume->second.size_bytes + shape.chunk_bytes - 1) / shape.chunk_bytes;
  if (key.second() >= chunks)
    findings.error(expected_found(who + ": chunk", "below " + std::to_string(chunks), key.second()));
  if (key.third() == 0 || key.third() > volume->second.epoch.number.value)
    findings.error(expected_found(
        who + ": number", "1 to the volume's epoch " + std::to_string(volume->second.epoch.number.value),
        key.third()));
  const store_chunk place = place_at(value.data());
  if (!place.is_zero() && place.value >= shape.chunk_count)
    findings.error(
        expected_found(who + ": store chunk", "below " + std::to_string(shape.chunk_count), place.value));
}

void check_catalog(const catalog_state &catalog, const geometry &shape, check_findings &findings) {
  std::set<std::string> names;
  for (const auto &[id, volume] : catalog.volumes) {
    ++findings.report().volumes;
    check_volume(volume, catalog, findings);
    if (!names.insert(volume.name).second)
      findings.error("volume " + std::to_string(id.value) + ": name: expected one that no other has, found " +
                     volume.name);
  }
  for (const auto &[id, session] : catalog.sessions)
    if (id.value == 0 || id > catalog.last_session)
      findings.error(expected_found("session " + std::to_string(id.value) + ": id",
                                    "1 to " + std::to_string(catalog.last_session.value), id.value));
  for (const auto &[id, reservation] : catalog.reservations)
    check_reservation(reservation, catalog, shape, findings);
  if (catalog.values.lease_ms == 0) findings.error("settings: lease: expected more than 0, found 0");
}

}  // namespace csnap::store
