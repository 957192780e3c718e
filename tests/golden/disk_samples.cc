// SPDX-License-Identifier: BSD-3-Clause
#include "tests/golden/disk_samples.h"

#include "metaserver/base/byte_writer.h"
#include "metaserver/store/btree_entries.h"
#include "metaserver/store/catalog_state.h"
#include "metaserver/store/log_writer.h"
#include "metaserver/store/page_cache.h"
#include "metaserver/store/space_map.h"
#include "metaserver/store/store_state.h"
#include "metaserver/store/superblock_blocks.h"

#include <cstdio>

namespace csnap::test {

using namespace store;

namespace {

constexpr term_id sample_term{5, 2};
constexpr std::uint64_t first_page = 562;  // the block of page 0 in sample_geometry()

unique_id id_of(std::uint8_t first) {
  unique_id id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(first + i);
  return id;
}

// Pages are never read here: the cache only seals what was put into it.
class no_device final : public block_device {
 public:
  std::uint64_t size_bytes() const override { return 0; }
  result<> read(std::uint64_t, std::span<std::byte>) override { return fail(errc::io, "no device"); }
  result<> write(std::uint64_t, std::span<const std::byte>, durability) override { return read(0, {}); }
  result<> zero(std::uint64_t, std::uint64_t, bool, durability) override { return read(0, {}); }
  result<> trim(std::uint64_t, std::uint64_t) override { return read(0, {}); }
  result<> flush() override { return read(0, {}); }
};

volume_info sample_volume() {
  volume_info v;
  v.id = volume_id{1};
  v.name = "disk";
  v.device = "/dev/origin";
  v.size_bytes = 1ull << 40;
  v.epoch = {snapshot_number{9}, 0x1122334455667788};
  v.reap_cursor = chunk_no{77};
  v.reap_pass = 3;
  v.when_full = full_policy::snapshot_first;
  v.unflushed = true;
  v.sacrificed = 2;
  return v;
}

session_info sample_session() {
  session_info s;
  s.id = session_id{4};
  s.secret = id_of(0x20);
  s.node = "node-a";
  s.boot = id_of(0x40);
  s.pid = 4711;
  s.process_start = 123456;
  s.io_ends_with_process = true;
  s.lease_ms = 5000;
  return s;
}

root sample_root() {
  root r;
  r.term = sample_term;
  r.generation = 12;
  r.covers = record_seq{1000};
  r.exceptions = {first_page + 3, 12, sample_term};
  r.catalog = {first_page + 5, 11, {4, 1}};
  r.chunk_map = {first_page + 8, 12, sample_term};
  r.page_map = {first_page + 9, 12, sample_term};
  r.exception_count = 3;
  r.log_sequence = 65;
  r.last_snapshot = snapshot_number{9};
  r.last_session = session_id{4};
  r.last_reservation = reservation_id{6};
  r.request_counter = 2;
  r.chunk_count = 150;
  return r;
}

disk_sample sealed(const char *name, block_type type, std::uint64_t block, std::uint64_t sequence,
                   std::uint32_t detail, std::span<const std::byte> payload, term_id term = sample_term) {
  const block_header header{type, block, sample_geometry().store, term, sequence, 0, detail};
  return {name, type, block, seal_block(header, payload)};
}

disk_sample slot_sample() {
  slot s;
  s.node = 2;
  s.sequence = 7;
  s.term = sample_term;
  s.address = "tcp:10.0.0.2:7071";
  s.claimed_areas.fill(std::byte{0xff});
  s.dead_below = {5, 1};
  s.newest_root = sample_root();
  return sealed("slot", block_type::slot, 2 + 2 * blocks_per_slot + 2, s.sequence, s.node, encode_slot(s));
}

disk_sample log_sample() {
  log_writer log(sample_geometry(), sample_term, 65, record_seq{1000});
  for (const record &r : sample_records()) log.append(encode_record(r));
  const auto batch = log.take_batch();
  check(batch && batch->writes.size() == 1 && batch->writes[0].bytes.size() == block_bytes, "one log block");
  return {"log", block_type::log, batch->writes[0].offset_bytes / block_bytes, batch->writes[0].bytes};
}

// Leaf and inner page of one tree, in two neighbouring blocks.
void add_tree(std::vector<disk_sample> &out, block_type type, std::uint64_t block, const std::string &name,
              std::span<const std::pair<tree_key, std::vector<std::byte>>> entries) {
  no_device device;
  page_cache cache(device, sample_geometry(), 0);
  frame &leaf = cache.add_fresh({block, 12, sample_term}, type, 0);
  for (const auto &[key, value] : entries) insert_entry(leaf, leaf.count, key, value);
  frame &inner = cache.add_fresh({block + 1, 12, sample_term}, type, 1);
  insert_entry(inner, 0, entries.front().first, pointer_value({block, 12, sample_term}));
  insert_entry(inner, 1, entries.back().first.successor(), pointer_value({block + 4, 10, {4, 1}}));
  for (const device_write &w : cache.freeze())
    for (std::size_t at = 0; at < w.bytes.size(); at += block_bytes) {
      const std::uint64_t number = (w.offset_bytes + at) / block_bytes;
      out.push_back({name + (number == block ? "_leaf" : "_inner"),
                     type,
                     number,
                     {w.bytes.begin() + static_cast<std::ptrdiff_t>(at),
                      w.bytes.begin() + static_cast<std::ptrdiff_t>(at + block_bytes)}});
    }
}

void add_exceptions(std::vector<disk_sample> &out) {
  std::vector<std::pair<tree_key, std::vector<std::byte>>> entries;
  for (const auto &[chunk, number, place] :
       {std::tuple{16ull, 3ull, 40ull}, {16ull, 9ull, 41ull}, {17ull, 9ull, store_chunk::zero_value}}) {
    byte_writer value;
    value.u64(place);
    entries.emplace_back(exception_key(volume_id{1}, chunk_no{chunk}, snapshot_number{number}),
                         value.release());
  }
  add_tree(out, block_type::exception_page, first_page + 2, "exception", entries);
}

void add_catalog(std::vector<disk_sample> &out) {
  catalog_state state;
  state.note(catalog_kind::settings, 0);
  state.put_volume(sample_volume());
  state.change_detail(volume_id{1}).exception_count = 3;
  snapshot_info s;
  s.volume = volume_id{1};
  s.number = snapshot_number{9};
  s.name = "monday";
  s.created_unix_ms = 1700000000000;
  s.priority = -5;
  s.size_bytes = 1ull << 40;
  s.holds = {"backup", "audit-2"};
  state.put_snapshot(s);
  state.sessions[session_id{4}] = sample_session();
  state.note(catalog_kind::session, 4);
  state.put_reservation({reservation_id{6}, session_id{4}, store_chunk{64}, 4, {false, true, true, true}});
  state.remember_request(id_of(0x60));
  std::vector<std::pair<tree_key, std::vector<std::byte>>> entries;
  for (const tree_key &key : state.changed()) entries.emplace_back(key, state.encode_entry(key));
  add_tree(out, block_type::catalog_page, first_page + 5, "catalog", entries);
}

void add_maps(std::vector<disk_sample> &out) {
  space_map map(sample_geometry().chunk_count);
  for (const std::uint64_t chunk : {40, 41, 65, 66, 67}) map.take(chunk);
  out.push_back(sealed("space_map", block_type::space_map, first_page + 7, 12, 0, map.payload_of_block(0)));
  byte_writer directory;
  put_pointer(directory, {});
  put_pointer(directory, {first_page + 7, 12, sample_term});
  out.push_back(
      sealed("space_directory", block_type::space_directory, first_page + 8, 12, 0, directory.bytes()));
}

}  // namespace

geometry sample_geometry() {
  geometry g;
  g.store = id_of(1);
  g.restore_generation = 1;
  g.chunk_bytes = 65536;
  g.node_count = 8;
  g.slots_offset_bytes = 2 * block_bytes;
  g.logs_offset_bytes = 34 * block_bytes;
  g.log_blocks = 66;
  g.pages_offset_bytes = first_page * block_bytes;
  g.page_count = 1280;
  g.chunks_offset_bytes = 116 * 65536;
  g.chunk_count = 140;
  g.created_unix_ms = 1700000000000;
  return g;
}

std::vector<record> sample_records() {
  return {
      volume_added{sample_volume()},
      settings_changed{{5000, 1000, 5000, 6000}},
      snapshots_created{id_of(0x60),
                        snapshot_number{10},
                        0x0102030405060708,
                        1700000000001,
                        -5,
                        {{volume_id{1}, "monday"}, {volume_id{2}, "monday"}}},
      snapshot_renamed{id_of(0x61), volume_id{1}, snapshot_number{10}, "tuesday"},
      snapshot_deleted{id_of(0x62), volume_id{1}, snapshot_number{10}, true},
      snapshot_died{volume_id{1}, snapshot_number{10}},
      exceptions_added{volume_id{1},
                       snapshot_number{10},
                       session_id{4},
                       {{chunk_no{5}, reservation_id{6}, store_chunk{64}},
                        {chunk_no{6}, reservation_id{0}, store_chunk::zero()}}},
      session_opened{sample_session()},
      session_closed{session_id{4}, {volume_id{1}}},
      chunks_reserved{reservation_id{7}, session_id{4}, store_chunk{128}, 8},
      reaped{volume_id{1}, chunk_no{77}, chunk_no{16777216}, true},
      volume_changed{id_of(0x63), volume_id{1}, full_policy::origin_first},
      snapshot_changed{id_of(0x64), volume_id{1}, snapshot_number{10}, -7},
      snapshot_held{id_of(0x65), volume_id{1}, snapshot_number{10}, "backup"},
      snapshot_released{id_of(0x66), volume_id{1}, snapshot_number{10}, "backup"},
      chunks_returned{reservation_id{7}, session_id{4}, store_chunk{130}, 3},
      store_grown{200},
  };
}

std::vector<disk_sample> disk_samples() {
  std::vector<disk_sample> out;
  for (const device_write &w :
       superblock_writes(sample_geometry(), device_role::combined, format_state::ready))
    if (w.offset_bytes == 0) out.push_back({"superblock", block_type::superblock, 0, w.bytes});
  out.push_back(slot_sample());
  out.push_back(log_sample());
  add_exceptions(out);
  add_catalog(out);
  add_maps(out);
  return out;
}

std::string hex_text(std::span<const std::byte> bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::string hex, text;
    bool any = false;
    for (const std::byte b : bytes.subspan(at, 16)) {
      const auto value = std::to_integer<unsigned>(b);
      char two[4];
      std::snprintf(two, sizeof two, " %02x", value);
      hex += two;
      text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
      any = any || value != 0;
    }
    char offset[8];
    std::snprintf(offset, sizeof offset, "%04x:", static_cast<unsigned>(at));
    if (any) out += offset + hex + "  " + text + "\n";
  }
  return out;
}

}  // namespace csnap::test
