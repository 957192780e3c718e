// SPDX-License-Identifier: BSD-3-Clause
//
// What each record does. The same code serves append and replay, so both give the same state.
#include "metaserver/base/check.h"
#include "metaserver/store/store_state.h"

#include <algorithm>

namespace csnap::store {
namespace {

std::array<std::byte, exception_value_bytes> place_bytes(store_chunk place) {
  std::array<std::byte, exception_value_bytes> raw;
  for (std::size_t i = 0; i < raw.size(); ++i)
    raw[i] = static_cast<std::byte>((place.value >> (8 * i)) & 0xff);
  return raw;
}

}  // namespace

store_chunk place_at(const std::byte *value) {
  return store_chunk{byte_reader(std::span(value, exception_value_bytes)).u64()};
}

struct record_applier {
  store_state &state;
  record_seq seq;
  catalog_state &catalog = state.catalog;

  void hold_chunk(std::uint64_t chunk) const {
    state.chunks.hold(chunk);
    state.held_chunks.emplace_back(seq, chunk);
  }

  result<> operator()(const volume_added &r) const {
    catalog.put_volume(r.volume);
    return {};
  }
  result<> operator()(const settings_changed &r) const {
    catalog.values = r.values;
    catalog.note(catalog_kind::settings, 0);
    return {};
  }
  result<> operator()(const snapshots_created &r) const {
    catalog.remember_request(r.request);
    catalog.last_snapshot = r.number;
    for (const auto &m : r.members) {
      volume_info volume = catalog.volumes.at(m.volume);
      volume.epoch = {r.number, r.epoch_nonce};
      volume.unflushed = false;
      catalog.put_volume(volume);
      snapshot_info s;
      s.volume = m.volume;
      s.number = r.number;
      s.name = m.name;
      s.created_unix_ms = r.created_unix_ms;
      s.priority = r.priority;
      s.size_bytes = volume.size_bytes;
      catalog.put_snapshot(s);
    }
    return {};
  }
  result<> operator()(const snapshot_renamed &r) const {
    catalog.remember_request(r.request);
    snapshot_info s = catalog.detail(r.volume).snapshots.at(r.number);
    s.name = r.name;
    catalog.put_snapshot(s);
    return {};
  }
  result<> operator()(const snapshot_deleted &r) const {
    catalog.remember_request(r.request);
    snapshot_info s = catalog.detail(r.volume).snapshots.at(r.number);
    s.state = snapshot_state::dying;
    s.sacrificed = r.sacrificed;
    catalog.put_snapshot(s);
    if (!r.sacrificed) return {};
    volume_info volume = catalog.volumes.at(r.volume);
    ++volume.sacrificed;
    catalog.put_volume(volume);
    return {};
  }
  result<> operator()(const snapshot_died &r) const {
    const volume_info &volume = catalog.volumes.at(r.volume);
    snapshot_info s = catalog.detail(r.volume).snapshots.at(r.number);
    s.state = snapshot_state::dead;
    // The pass that is under way has left chunks behind it where this snapshot still counted.
    const bool pass_is_running = volume.reap_cursor.value != 0;
    s.reap_pass = volume.reap_pass + (pass_is_running ? 1 : 0);
    catalog.put_snapshot(s);
    return {};
  }
  result<> operator()(const exceptions_added &r) const {
    auto &detail = catalog.change_detail(r.volume);
    reservation_info *reservation = nullptr;
    for (const auto &e : r.entries) {
      if (!e.place.is_zero()) {
        if (reservation == nullptr || reservation->id != e.reservation) {
          const auto found = catalog.reservations.find(e.reservation);
          if (found == catalog.reservations.end())
            return fail(errc::corrupt, "one reserved chunk named twice");
          reservation = &found->second;
          catalog.note(catalog_kind::reservation, e.reservation.value);
        }
        auto bit = reservation->reserved[e.place.value - reservation->first.value];
        if (!bit) return fail(errc::corrupt, "one reserved chunk named twice in a record");
        bit = false;
        --catalog.chunks_reserved;
      }
      auto added = state.exceptions.put(exception_key(r.volume, e.chunk, r.number), place_bytes(e.place));
      if (!added) return added.error();
      if (!*added)
        return fail(errc::corrupt, "chunk " + std::to_string(e.chunk.value) + " of volume " +
                                       std::to_string(r.volume.value) + " has an exception numbered " +
                                       std::to_string(r.number.value) + " already");
      ++detail.exception_count;
      ++state.exception_count;
    }
    for (std::size_t i = 0; i < r.entries.size(); ++i)
      if (i + 1 == r.entries.size() || r.entries[i + 1].reservation != r.entries[i].reservation)
        remove_if_used_up(r.entries[i]);
    catalog.note(catalog_kind::volume, r.volume.value);
    return {};
  }
  void remove_if_used_up(const exceptions_added::entry &e) const {
    if (e.place.is_zero()) return;
    const auto found = catalog.reservations.find(e.reservation);
    if (found == catalog.reservations.end()) return;
    const auto &bits = found->second.reserved;
    // From the taken chunk on first: chunks are used in order, so a reserved one is close behind.
    const auto at = bits.begin() + static_cast<std::ptrdiff_t>(e.place.value - found->second.first.value);
    if (std::find(at, bits.end(), true) == bits.end() && std::find(bits.begin(), at, true) == at)
      catalog.remove_reservation(e.reservation);
  }
  result<> operator()(const session_opened &r) const {
    catalog.sessions[r.session.id] = r.session;
    catalog.last_session = std::max(catalog.last_session, r.session.id);
    catalog.note(catalog_kind::session, r.session.id.value);
    return {};
  }
  result<> operator()(const session_closed &r) const {
    std::vector<reservation_id> over;
    for (const auto &[id, reservation] : catalog.reservations) {
      if (reservation.session != r.session) continue;
      over.push_back(id);
      for (std::uint64_t i = 0; i < reservation.count; ++i)
        if (reservation.reserved[i]) hold_chunk(reservation.first.value + i);
    }
    for (const reservation_id id : over) catalog.remove_reservation(id);
    catalog.sessions.erase(r.session);
    catalog.note(catalog_kind::session, r.session.value);
    for (const volume_id id : r.unflushed) {
      volume_info volume = catalog.volumes.at(id);
      volume.unflushed = true;
      catalog.put_volume(volume);
    }
    return {};
  }
  result<> operator()(const chunks_reserved &r) const {
    for (std::uint64_t i = 0; i < r.count; ++i) state.chunks.take(r.first.value + i);
    state.chunk_search_start = r.first.value + r.count;
    catalog.last_reservation = r.id;
    catalog.put_reservation({r.id, r.session, r.first, r.count, std::vector<bool>(r.count, true)});
    return {};
  }
  result<> operator()(const reaped &r) const {
    auto &detail = catalog.change_detail(r.volume);
    const auto &sharing = detail.sharing;
    tree_key chunk_of_previous;
    snapshot_number previous;
    bool damaged = false;
    const auto needless = [&](const std::byte *raw, const std::byte *value) {
      const tree_key key = tree_key::at(raw);
      const tree_key chunk = tree_key::of(key.first(), key.second(), 0);
      if (chunk != chunk_of_previous) previous = {};
      chunk_of_previous = chunk;
      const snapshot_number number{key.third()};
      const auto reader = std::upper_bound(sharing.begin(), sharing.end(), previous);
      if (reader != sharing.end() && *reader <= number) {
        previous = number;
        return false;
      }
      const store_chunk place = place_at(value);
      if (!place.is_zero()) {
        if (place.value >= state.shape.chunk_count || !state.chunks.is_busy(place.value)) {
          damaged = true;
          return false;
        }
        hold_chunk(place.value);
      }
      --detail.exception_count;
      --state.exception_count;
      return true;
    };
    auto done = state.exceptions.erase_if(tree_key::of(r.volume.value, r.first.value, 0),
                                          tree_key::of(r.volume.value, r.end.value, 0), needless);
    if (done && damaged) done = fail(errc::corrupt, "an exception names a store chunk that is not in use");
    if (!done) return done;
    volume_info volume = catalog.volumes.at(r.volume);
    volume.reap_cursor = r.pass_done ? chunk_no{0} : r.end;
    if (r.pass_done) ++volume.reap_pass;
    catalog.put_volume(volume);
    if (r.pass_done) forget_the_dead(volume);
    return {};
  }
  result<> operator()(const volume_changed &r) const {
    catalog.remember_request(r.request);
    volume_info volume = catalog.volumes.at(r.volume);
    volume.when_full = r.when_full;
    catalog.put_volume(volume);
    return {};
  }
  result<> change_snapshot(const auto &r, const auto &change) const {
    catalog.remember_request(r.request);
    snapshot_info s = catalog.detail(r.volume).snapshots.at(r.number);
    change(s);
    catalog.put_snapshot(s);
    return {};
  }
  result<> operator()(const snapshot_changed &r) const {
    return change_snapshot(r, [&](snapshot_info &s) { s.priority = r.priority; });
  }
  result<> operator()(const snapshot_held &r) const {
    return change_snapshot(r, [&](snapshot_info &s) { s.holds.push_back(r.tag); });
  }
  result<> operator()(const snapshot_released &r) const {
    return change_snapshot(r, [&](snapshot_info &s) { std::erase(s.holds, r.tag); });
  }
  result<> operator()(const chunks_returned &r) const {
    auto &reservation = catalog.reservations.at(r.id);
    for (std::uint64_t i = 0; i < r.count; ++i) {
      reservation.reserved[r.first.value - reservation.first.value + i] = false;
      --catalog.chunks_reserved;
      hold_chunk(r.first.value + i);
    }
    catalog.note(catalog_kind::reservation, r.id.value);
    const auto &bits = reservation.reserved;
    if (std::find(bits.begin(), bits.end(), true) == bits.end()) catalog.remove_reservation(r.id);
    return {};
  }
  result<> operator()(const store_grown &r) const {
    state.set_chunk_count(r.chunk_count);
    return {};
  }
  void forget_the_dead(const volume_info &volume) const {
    std::vector<snapshot_number> gone;
    for (const auto &[number, s] : catalog.detail(volume.id).snapshots)
      if (s.state == snapshot_state::dead && volume.reap_pass > s.reap_pass) gone.push_back(number);
    for (const snapshot_number number : gone) catalog.remove_snapshot(volume.id, number);
  }
};

result<> store_state::apply(const record &r, record_seq seq) {
  return std::visit(record_applier{*this, seq}, r);
}

void store_state::release_chunks(record_seq durable) {
  for (; !held_chunks.empty() && held_chunks.front().first <= durable; held_chunks.pop_front())
    chunks.release(held_chunks.front().second);
}

}  // namespace csnap::store
