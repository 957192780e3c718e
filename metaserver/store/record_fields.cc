// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/record_fields.h"

#include <algorithm>

namespace csnap::store {

void put_unique(byte_writer &out, const unique_id &id) { out.raw(id.bytes); }

unique_id get_unique(byte_reader &in) {
  unique_id id;
  const auto raw = in.take(id.bytes.size());
  std::copy(raw.begin(), raw.end(), id.bytes.begin());
  return id;
}

bool get_flag(byte_reader &in) {
  const std::uint8_t value = in.u8();
  if (value > 1) in.fail();
  return value == 1;
}

full_policy get_policy(byte_reader &in) {
  const std::uint8_t value = in.u8();
  if (value < 1 || value > 3) {
    in.fail();
    return full_policy::error;
  }
  return static_cast<full_policy>(value);
}

void put_fields(byte_writer &out, const volume_info &v) {
  out.u32(v.id.value);
  out.text(v.name);
  out.u64(v.size_bytes);
  out.u64(v.epoch.number.value);
  out.u64(v.epoch.nonce);
  out.u64(v.reap_cursor.value);
  out.u64(v.reap_pass);
  out.u32(v.parent_volume.value);
  out.u64(v.parent_snapshot.value);
  out.u8(static_cast<std::uint8_t>(v.when_full));
  out.u8(v.unflushed ? 1 : 0);
  out.u64(v.sacrificed);
  out.text(v.device);
}

volume_info get_volume(byte_reader &in) {
  volume_info v;
  v.id = volume_id{in.u32()};
  v.name = in.text(name_length_max);
  v.size_bytes = in.u64();
  v.epoch.number = snapshot_number{in.u64()};
  v.epoch.nonce = in.u64();
  v.reap_cursor = chunk_no{in.u64()};
  v.reap_pass = in.u64();
  v.parent_volume = volume_id{in.u32()};
  v.parent_snapshot = snapshot_number{in.u64()};
  v.when_full = get_policy(in);
  v.unflushed = get_flag(in);
  v.sacrificed = in.u64();
  v.device = in.text(device_length_max);
  return v;
}

void put_fields(byte_writer &out, const session_info &s) {
  put_unique(out, s.secret);
  out.text(s.node);
  put_unique(out, s.boot);
  out.u32(s.pid);
  out.u64(s.process_start);
  out.u8(s.io_ends_with_process ? 1 : 0);
  out.u32(s.lease_ms);
}

session_info get_session(byte_reader &in, session_id id) {
  session_info s;
  s.id = id;
  s.secret = get_unique(in);
  s.node = in.text(node_name_length_max);
  s.boot = get_unique(in);
  s.pid = in.u32();
  s.process_start = in.u64();
  s.io_ends_with_process = get_flag(in);
  s.lease_ms = in.u32();
  return s;
}

void put_fields(byte_writer &out, const settings &s) {
  out.u32(s.lease_ms);
  out.u32(s.lease_margin_ms);
  out.u32(s.barrier_ms);
  out.u32(s.longest_lease_ms);
}

settings get_settings(byte_reader &in) {
  settings s;
  s.lease_ms = in.u32();
  s.lease_margin_ms = in.u32();
  s.barrier_ms = in.u32();
  s.longest_lease_ms = in.u32();
  return s;
}

}  // namespace csnap::store
