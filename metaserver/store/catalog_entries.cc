// SPDX-License-Identifier: BSD-3-Clause
//
// Values of the catalog tree, padded with zeroes to 256 bytes; fields as in record_fields.h:
//   settings, session: their fields          volume: its fields with an empty device, u64 exceptions
//   volume_device: text device               request: u64 counter, u8[16] id
//   snapshot: text name, u8 state, u64 created, u32 priority, u64 size, u64 reap pass, u8 sacrificed
//   holds: u8 count, text tag for each
//   reservation: u64 session, u64 first, u32 count, u8[128] bits (bit i in byte i / 8 at i % 8)
#include "metaserver/base/check.h"
#include "metaserver/store/catalog_state.h"
#include "metaserver/store/record_fields.h"

#include <algorithm>

namespace csnap::store {
namespace {

error bad_entry(const tree_key &key, const char *what) {
  return fail(errc::corrupt, "catalog entry (" + std::to_string(key.first()) + ", " +
                                 std::to_string(key.second()) + ", " + std::to_string(key.third()) +
                                 "): " + what);
}

void put_snapshot_fields(byte_writer &out, const snapshot_info &s) {
  out.text(s.name);
  out.u8(static_cast<std::uint8_t>(s.state));
  out.u64(static_cast<std::uint64_t>(s.created_unix_ms));
  out.u32(static_cast<std::uint32_t>(s.priority));
  out.u64(s.size_bytes);
  out.u64(s.reap_pass);
  out.u8(s.sacrificed ? 1 : 0);
}

snapshot_info get_snapshot(byte_reader &in, volume_id volume, snapshot_number number) {
  snapshot_info s;
  s.volume = volume;
  s.number = number;
  s.name = in.text(name_length_max);
  const std::uint8_t state = in.u8();
  if (state < 1 || state > 3) in.fail();
  s.state = static_cast<snapshot_state>(state);
  s.created_unix_ms = static_cast<std::int64_t>(in.u64());
  s.priority = static_cast<std::int32_t>(in.u32());
  s.size_bytes = in.u64();
  s.reap_pass = in.u64();
  s.sacrificed = get_flag(in);
  return s;
}

void put_reservation_fields(byte_writer &out, const reservation_info &r) {
  out.u64(r.session.value);
  out.u64(r.first.value);
  out.u32(r.count);
  std::array<std::byte, reservation_chunks_max / 8> bits{};
  for (std::size_t i = 0; i < r.reserved.size(); ++i)
    if (r.reserved[i]) bits[i / 8] |= static_cast<std::byte>(1u << (i % 8));
  out.raw(bits);
}

}  // namespace

std::vector<std::byte> catalog_state::encode_entry(const tree_key &key) const {
  byte_writer out;
  switch (static_cast<catalog_kind>(key.first())) {
    case catalog_kind::settings: put_fields(out, values); break;
    case catalog_kind::volume:
      if (auto v = volumes.find(volume_id{static_cast<std::uint32_t>(key.second())}); v != volumes.end()) {
        volume_info without_device = v->second;
        without_device.device.clear();
        put_fields(out, without_device);
        out.u64(detail(v->first).exception_count);
      }
      break;
    case catalog_kind::volume_device:
      if (auto v = volumes.find(volume_id{static_cast<std::uint32_t>(key.second())}); v != volumes.end())
        out.text(v->second.device);
      break;
    case catalog_kind::snapshot: {
      const auto &all = detail(volume_id{static_cast<std::uint32_t>(key.second())}).snapshots;
      if (auto s = all.find(snapshot_number{key.third()}); s != all.end())
        put_snapshot_fields(out, s->second);
      break;
    }
    case catalog_kind::holds: {
      const auto &all = detail(volume_id{static_cast<std::uint32_t>(key.second())}).snapshots;
      const auto s = all.find(snapshot_number{key.third()});
      if (s == all.end() || s->second.holds.empty()) break;
      out.u8(static_cast<std::uint8_t>(s->second.holds.size()));
      for (const std::string &tag : s->second.holds) out.text(tag);
      break;
    }
    case catalog_kind::session:
      if (auto s = sessions.find(session_id{key.second()}); s != sessions.end()) put_fields(out, s->second);
      break;
    case catalog_kind::reservation:
      if (auto r = reservations.find(reservation_id{key.second()}); r != reservations.end())
        put_reservation_fields(out, r->second);
      break;
    case catalog_kind::request:
      if (auto r = requests_.find(key.second()); r != requests_.end()) {
        out.u64(r->second.counter);
        put_unique(out, r->second.id);
      }
      break;
  }
  if (out.size() > 0) out.pad_to(catalog_value_bytes);
  return out.release();
}

result<> catalog_state::load_reservation(reservation_id id, byte_reader &in) {
  reservation_info r;
  r.id = id;
  r.session = session_id{in.u64()};
  r.first = store_chunk{in.u64()};
  r.count = in.u32();
  const auto bits = in.take(reservation_chunks_max / 8);
  if (!in.ok() || r.count == 0 || r.count > reservation_chunks_max)
    return fail(errc::corrupt, "reservation " + std::to_string(id.value) + ": bad fields");
  for (std::size_t i = 0; i < r.count; ++i)
    r.reserved.push_back((std::to_integer<unsigned>(bits[i / 8]) >> (i % 8)) & 1);
  if (!reservations.contains(id)) put_reservation(std::move(r));
  return {};
}

result<> catalog_state::load_holds(volume_id volume, snapshot_number number, byte_reader &in) {
  const auto &all = detail(volume).snapshots;
  const auto found = all.find(number);
  if (found == all.end()) return fail(errc::corrupt, "holds of no snapshot");
  snapshot_info held = found->second;
  const std::uint8_t count = in.u8();
  if (count == 0 || count > holds_max) in.fail();
  for (std::uint8_t i = 0; i < count && in.ok(); ++i) held.holds.push_back(in.text(tag_length_max));
  if (in.ok()) put_snapshot(held);
  return {};
}

// The catalog tree is read in key order: volumes before their devices and snapshots, those before their holds.
result<> catalog_state::load_entry(const tree_key &key, std::span<const std::byte> value) {
  byte_reader in(value);
  const volume_id volume{static_cast<std::uint32_t>(key.second())};
  switch (static_cast<catalog_kind>(key.first())) {
    case catalog_kind::settings: values = get_settings(in); break;
    case catalog_kind::volume: {
      const volume_info v = get_volume(in);
      const std::uint64_t count = in.u64();
      if (!in.ok() || v.id.value != key.second()) return bad_entry(key, "bad volume");
      put_volume(v);
      details_[v.id].exception_count = count;
      break;
    }
    case catalog_kind::volume_device:
      if (!volumes.contains(volume)) return bad_entry(key, "device of no volume");
      volumes[volume].device = in.text(device_length_max);
      break;
    case catalog_kind::snapshot: {
      if (!volumes.contains(volume) || volume.value != key.second())
        return bad_entry(key, "snapshot of no volume");
      const snapshot_info s = get_snapshot(in, volume, snapshot_number{key.third()});
      if (in.ok()) put_snapshot(s);
      break;
    }
    case catalog_kind::session:
      sessions[session_id{key.second()}] = get_session(in, session_id{key.second()});
      break;
    case catalog_kind::reservation: return load_reservation(reservation_id{key.second()}, in);
    case catalog_kind::request: {
      done_request r;
      r.counter = in.u64();
      r.id = get_unique(in);
      if (key.second() != r.counter % requests_remembered)
        return bad_entry(key, "request in the wrong place");
      requests_[key.second()] = r;
      known_requests_.insert(r.id);
      break;
    }
    case catalog_kind::holds:
      if (volume.value != key.second() || !load_holds(volume, snapshot_number{key.third()}, in))
        return bad_entry(key, "bad holds");
      break;
    default: return bad_entry(key, "unknown kind");
  }
  if (!in.ok()) return bad_entry(key, "bad fields");
  return {};
}

}  // namespace csnap::store
