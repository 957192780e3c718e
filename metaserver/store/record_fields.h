// SPDX-License-Identifier: BSD-3-Clause
//
// The fields of catalog structs as bytes, the same in log records and in catalog pages; in order:
//   volume:   u32 id, text name, u64 size, u64 epoch number, u64 epoch nonce, u64 reap cursor, u64 reap pass,
//             u32 parent volume, u64 parent snapshot, u8 policy, u8 unflushed, u64 sacrificed, text device
//   session:  u8[16] secret, text node, u8[16] boot, u32 pid, u64 process start, u8 flag, u32 lease
//   settings: u32 lease, u32 margin, u32 barrier, u32 longest lease
#pragma once

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/base/names.h"
#include "metaserver/store/catalog.h"

namespace csnap::store {

inline constexpr std::size_t device_length_max = 254;  // a device's text has a catalog entry of its own
inline constexpr std::size_t node_name_length_max = 128;

void put_unique(byte_writer &out, const unique_id &id);
unique_id get_unique(byte_reader &in);
bool get_flag(byte_reader &in);  // a byte above 1 makes the reader fail
full_policy get_policy(byte_reader &in);

void put_fields(byte_writer &out, const volume_info &v);
void put_fields(byte_writer &out, const session_info &s);  // without the id
void put_fields(byte_writer &out, const settings &s);
volume_info get_volume(byte_reader &in);
session_info get_session(byte_reader &in, session_id id);
settings get_settings(byte_reader &in);

}  // namespace csnap::store
