// SPDX-License-Identifier: BSD-3-Clause
//
// Payloads are the members in the order of records.h: ids and counts as their own width, names as text, a
// bool as u8, lists as u32 count and the entries. A session's and a volume's fields: record_fields.h.
#include "metaserver/store/records.h"

#include "metaserver/store/record_fields.h"

#include <type_traits>

namespace csnap::store {
namespace {

constexpr std::size_t record_header_bytes = 8;

struct encoder {
  byte_writer &out;
  void operator()(const volume_added &r) const { put_fields(out, r.volume); }
  void operator()(const settings_changed &r) const { put_fields(out, r.values); }
  void operator()(const snapshots_created &r) const {
    check(r.members.size() <= group_size_max, "group too large");
    put_unique(out, r.request);
    out.u64(r.number.value);
    out.u64(r.epoch_nonce);
    out.u64(static_cast<std::uint64_t>(r.created_unix_ms));
    out.u32(static_cast<std::uint32_t>(r.priority));
    out.u32(static_cast<std::uint32_t>(r.members.size()));
    for (const auto &m : r.members) {
      out.u32(m.volume.value);
      out.text(m.name);
    }
  }
  void operator()(const snapshot_renamed &r) const {
    put_unique(out, r.request);
    out.u32(r.volume.value);
    out.u64(r.number.value);
    out.text(r.name);
  }
  void operator()(const snapshot_deleted &r) const {
    put_unique(out, r.request);
    out.u32(r.volume.value);
    out.u64(r.number.value);
    out.u8(r.sacrificed ? 1 : 0);
  }
  void operator()(const snapshot_died &r) const {
    out.u32(r.volume.value);
    out.u64(r.number.value);
  }
  void operator()(const exceptions_added &r) const {
    check(r.entries.size() <= exceptions_per_record_max, "too many exceptions in a record");
    out.u32(r.volume.value);
    out.u64(r.number.value);
    out.u64(r.session.value);
    out.u32(static_cast<std::uint32_t>(r.entries.size()));
    for (const auto &e : r.entries) {
      out.u64(e.chunk.value);
      out.u64(e.reservation.value);
      out.u64(e.place.value);
    }
  }
  void operator()(const session_opened &r) const {
    out.u64(r.session.id.value);
    put_fields(out, r.session);
  }
  void operator()(const session_closed &r) const {
    check(r.unflushed.size() <= volumes_per_record_max, "too many volumes in a record");
    out.u64(r.session.value);
    out.u32(static_cast<std::uint32_t>(r.unflushed.size()));
    for (const volume_id v : r.unflushed) out.u32(v.value);
  }
  void operator()(const chunks_reserved &r) const {
    out.u64(r.id.value);
    out.u64(r.session.value);
    out.u64(r.first.value);
    out.u32(r.count);
  }
  void operator()(const reaped &r) const {
    out.u32(r.volume.value);
    out.u64(r.first.value);
    out.u64(r.end.value);
    out.u8(r.pass_done ? 1 : 0);
  }
  void operator()(const volume_changed &r) const {
    put_unique(out, r.request);
    out.u32(r.volume.value);
    out.u8(static_cast<std::uint8_t>(r.when_full));
  }
  void operator()(const snapshot_changed &r) const {
    put_unique(out, r.request);
    out.u32(r.volume.value);
    out.u64(r.number.value);
    out.u32(static_cast<std::uint32_t>(r.priority));
  }
  void put_tag(const auto &r) const {
    put_unique(out, r.request);
    out.u32(r.volume.value);
    out.u64(r.number.value);
    out.text(r.tag);
  }
  void operator()(const snapshot_held &r) const { put_tag(r); }
  void operator()(const snapshot_released &r) const { put_tag(r); }
  void operator()(const chunks_returned &r) const {
    out.u64(r.id.value);
    out.u64(r.session.value);
    out.u64(r.first.value);
    out.u32(r.count);
  }
  void operator()(const store_grown &r) const { out.u64(r.chunk_count); }
};

snapshots_created get_created(byte_reader &in) {
  snapshots_created r;
  r.request = get_unique(in);
  r.number = snapshot_number{in.u64()};
  r.epoch_nonce = in.u64();
  r.created_unix_ms = static_cast<std::int64_t>(in.u64());
  r.priority = static_cast<std::int32_t>(in.u32());
  const std::uint32_t count = in.u32();
  if (count > group_size_max) in.fail();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    snapshots_created::member m;
    m.volume = volume_id{in.u32()};
    m.name = in.text(name_length_max);
    r.members.push_back(std::move(m));
  }
  return r;
}

exceptions_added get_exceptions(byte_reader &in) {
  exceptions_added r;
  r.volume = volume_id{in.u32()};
  r.number = snapshot_number{in.u64()};
  r.session = session_id{in.u64()};
  const std::uint32_t count = in.u32();
  if (count > exceptions_per_record_max) in.fail();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    exceptions_added::entry e;
    e.chunk = chunk_no{in.u64()};
    e.reservation = reservation_id{in.u64()};
    e.place = store_chunk{in.u64()};
    r.entries.push_back(e);
  }
  return r;
}

session_closed get_closed(byte_reader &in) {
  session_closed r{session_id{in.u64()}};
  const std::uint32_t count = in.u32();
  if (count > volumes_per_record_max) in.fail();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) r.unflushed.push_back(volume_id{in.u32()});
  return r;
}

template <class Record>
Record get_tagged(byte_reader &in) {
  return {get_unique(in), volume_id{in.u32()}, snapshot_number{in.u64()}, in.text(tag_length_max)};
}

// Braces evaluate from left to right, so the members are read in their order.
record get_record(std::uint16_t type, byte_reader &in) {
  switch (type) {
    case 1: return volume_added{get_volume(in)};
    case 2: return settings_changed{get_settings(in)};
    case 3: return get_created(in);
    case 4:
      return snapshot_renamed{get_unique(in), volume_id{in.u32()}, snapshot_number{in.u64()},
                              in.text(name_length_max)};
    case 5:
      return snapshot_deleted{get_unique(in), volume_id{in.u32()}, snapshot_number{in.u64()}, get_flag(in)};
    case 6: return snapshot_died{volume_id{in.u32()}, snapshot_number{in.u64()}};
    case 7: return get_exceptions(in);
    case 8: {
      const session_id id{in.u64()};
      return session_opened{get_session(in, id)};
    }
    case 9: return get_closed(in);
    case 10:
      return chunks_reserved{reservation_id{in.u64()}, session_id{in.u64()}, store_chunk{in.u64()}, in.u32()};
    case 11: return reaped{volume_id{in.u32()}, chunk_no{in.u64()}, chunk_no{in.u64()}, get_flag(in)};
    case 12: return volume_changed{get_unique(in), volume_id{in.u32()}, get_policy(in)};
    case 13:
      return snapshot_changed{get_unique(in), volume_id{in.u32()}, snapshot_number{in.u64()},
                              static_cast<std::int32_t>(in.u32())};
    case 14: return get_tagged<snapshot_held>(in);
    case 15: return get_tagged<snapshot_released>(in);
    case 16:
      return chunks_returned{reservation_id{in.u64()}, session_id{in.u64()}, store_chunk{in.u64()}, in.u32()};
    case 17: return store_grown{in.u64()};
    default: in.fail(); return session_closed{};
  }
}

}  // namespace

std::vector<std::byte> encode_record(const record &r) {
  byte_writer payload;
  std::visit(encoder{payload}, r);
  byte_writer out;
  out.u16(static_cast<std::uint16_t>(1 + r.index()));
  out.u16(0);
  out.u32(static_cast<std::uint32_t>(payload.size()));
  out.raw(payload.bytes());
  check(out.size() <= record_bytes_max, "record too long");
  return out.release();
}

result<record> decode_record(std::span<const std::byte> bytes) {
  byte_reader in(bytes);
  const std::uint16_t type = in.u16();
  in.u16();
  const std::uint32_t length = in.u32();
  if (!in.ok() || length != in.remaining() || bytes.size() > record_bytes_max)
    return fail(errc::corrupt, "record: length: expected " + std::to_string(length) + ", found " +
                                   std::to_string(bytes.size() < record_header_bytes ? 0 : in.remaining()));
  if (type == 0 || type > std::variant_size_v<record>)
    return fail(errc::corrupt, "record: unknown type " + std::to_string(type));
  record r = get_record(type, in);
  if (!in.finished()) return fail(errc::corrupt, "record of type " + std::to_string(type) + ": bad payload");
  return r;
}

}  // namespace csnap::store
