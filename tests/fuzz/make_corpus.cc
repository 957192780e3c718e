// SPDX-License-Identifier: BSD-3-Clause
//
// Writes the first corpus of the binary targets: one input of every kind, made by the product's own encoders.
// Run by hand when a message or record is added. Usage: make-corpus DIRECTORY (holding frame/, record/, block/)
#include "metaserver/store/disk_format.h"
#include "metaserver/store/records.h"
#include "metaserver/wire/frame.h"

#include "tests/unit/wire/message_filler.h"

#include <cstdio>
#include <fstream>
#include <string>

using namespace csnap;

namespace {

void write(const std::string &path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void write_records(const std::string &directory) {
  using namespace csnap::store;
  session_info session;
  session.id = session_id{7}, session.node = "node", session.lease_ms = 5000;
  volume_info volume;
  volume.id = volume_id{1}, volume.name = "vol", volume.device = "/dev/disk", volume.size_bytes = 1u << 30;
  exceptions_added exceptions{volume_id{1}, snapshot_number{3}, session_id{7}, {}};
  exceptions.entries = {{chunk_no{5}, reservation_id{2}, store_chunk{9}}, {chunk_no{6}, {}, store_chunk::zero()}};
  snapshots_created created{unique_id{}, snapshot_number{3}, 99, 1700000000000, -1, {{volume_id{1}, "s1"}}};
  const std::vector<record> all = {
      volume_added{volume}, settings_changed{}, created,
      snapshot_renamed{unique_id{}, volume_id{1}, snapshot_number{3}, "s2"},
      snapshot_deleted{unique_id{}, volume_id{1}, snapshot_number{3}}, snapshot_died{volume_id{1}, snapshot_number{3}},
      exceptions, session_opened{session}, session_closed{session_id{7}},
      chunks_reserved{reservation_id{2}, session_id{7}, store_chunk{8}, 64},
      reaped{volume_id{1}, chunk_no{0}, chunk_no{100}, true}};
  for (const record &r : all) write(directory + "/" + std::to_string(r.index() + 1), encode_record(r));
}

void write_blocks(const std::string &directory) {
  using namespace csnap::store;
  const auto with_choice = [](block_type type, std::vector<std::byte> payload) {
    const block_header header{type, 5, unique_id{}, term_id{2, 1}, 4, static_cast<std::uint32_t>(payload.size()), 1};
    auto block = seal_block(header, payload);
    block.insert(block.begin(), static_cast<std::byte>(static_cast<unsigned>(type) - 1));
    // The replay pads to a whole block: trailing zeroes need not be kept.
    block.resize(1 + header_bytes + payload.size());
    return block;
  };
  slot s;
  s.node = 1, s.sequence = 4, s.term = {2, 1}, s.address = "unix:/run/csnap";
  s.newest_root.term = {2, 1}, s.newest_root.generation = 3, s.newest_root.exceptions = {600, 3, {2, 1}};
  superblock b;
  b.shape.chunk_bytes = 65536, b.shape.node_count = 8, b.shape.page_count = 256, b.shape.chunk_count = 4096;
  b.role = 1;
  write(directory + "/slot", with_choice(block_type::slot, encode_slot(s)));
  write(directory + "/superblock", with_choice(block_type::superblock, encode_superblock(b)));
  const auto write_payload = [&](const char *name, std::vector<std::byte> payload) {
    payload.insert(payload.begin(), std::byte{0});
    write(directory + "/" + name, payload);
  };
  write_payload("slot-payload", encode_slot(s));
  write_payload("superblock-payload", encode_superblock(b));
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  for (std::size_t type = 0; type < wire::message_types; ++type) {
    const auto e = wire::random_envelope(type, 3);
    write(directory + "/frame/" + wire::message_name(e.body), wire::encode_frame(e));
  }
  write_records(directory + "/record");
  write_blocks(directory + "/block");
  return 0;
}
