// SPDX-License-Identifier: BSD-3-Clause
//
// Writes the first corpus of the binary targets: one input of every kind, made by the product's own encoders.
// Run by hand when a message or record is added. Usage: make-corpus DIRECTORY (holding a directory for each target)
#include "metaserver/store/disk_format.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/records.h"
#include "metaserver/wire/frame.h"

#include "tests/fuzz/sample_store.h"
#include "tests/unit/wire/agent_message_filler.h"
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
  exceptions.entries = {{chunk_no{5}, reservation_id{2}, store_chunk{9}},
                        {chunk_no{6}, {}, store_chunk::zero()}};
  snapshots_created created{unique_id{}, snapshot_number{3}, 99, 1700000000000, -1, {{volume_id{1}, "s1"}}};
  const std::vector<record> all = {volume_added{volume},
                                   settings_changed{},
                                   created,
                                   snapshot_renamed{unique_id{}, volume_id{1}, snapshot_number{3}, "s2"},
                                   snapshot_deleted{unique_id{}, volume_id{1}, snapshot_number{3}},
                                   snapshot_died{volume_id{1}, snapshot_number{3}},
                                   exceptions,
                                   session_opened{session},
                                   session_closed{session_id{7}, {volume_id{1}}},
                                   chunks_reserved{reservation_id{2}, session_id{7}, store_chunk{8}, 64},
                                   reaped{volume_id{1}, chunk_no{0}, chunk_no{100}, true},
                                   volume_changed{unique_id{}, volume_id{1}, full_policy::origin_first},
                                   snapshot_changed{unique_id{}, volume_id{1}, snapshot_number{3}, 7},
                                   snapshot_held{unique_id{}, volume_id{1}, snapshot_number{3}, "tag"},
                                   snapshot_released{unique_id{}, volume_id{1}, snapshot_number{3}, "tag"},
                                   chunks_returned{reservation_id{2}, session_id{7}, store_chunk{8}, 4},
                                   store_grown{8192}};
  for (const record &r : all) write(directory + "/" + std::to_string(r.index() + 1), encode_record(r));
}

void write_blocks(const std::string &directory) {
  using namespace csnap::store;
  const auto with_choice = [](block_type type, std::vector<std::byte> payload) {
    const block_header header{
        type, 5, unique_id{}, term_id{2, 1}, 4, static_cast<std::uint32_t>(payload.size()), 1};
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

// A conversation: u8 flags, u8 type, u16 length and payload for each message (session_fuzz.cc).
void write_sessions(const std::string &directory) {
  std::vector<std::byte> bytes;
  const auto say = [&](unsigned flags, const wire::message &what) {
    const auto frame = wire::encode_frame({0, {}, what});
    const std::size_t size = frame.size() - wire::frame_header_bytes;
    for (const unsigned b : {flags, static_cast<unsigned>(what.index() + 1),
                             static_cast<unsigned>(size & 0xff), static_cast<unsigned>(size >> 8)})
      bytes.push_back(static_cast<std::byte>(b));
    bytes.insert(bytes.end(), frame.begin() + wire::frame_header_bytes, frame.end());
  };
  wire::hello greeting;
  greeting.role = wire::client_role::node, greeting.node = "n";
  greeting.secret.bytes[0] = std::byte{1}, greeting.pid = 1;
  say(0, greeting);
  greeting.secret.bytes[0] = std::byte{2}, greeting.pid = 2;
  say(1, greeting);
  greeting.role = wire::client_role::tool;
  say(2, greeting);
  say(0, wire::open_volume{"a", {}});
  say(1, wire::open_volume{"a", {}});
  say(0, wire::reserve{16, {}});
  wire::create made;
  made.request.bytes[0] = std::byte{9}, made.members = {{"a", "s"}};
  say(2, made);
  say(4, wire::freeze_answer{barrier_id{1}});
  say(5, wire::freeze_answer{barrier_id{1}});
  write(directory + "/create", bytes);
  say(1, wire::open_snapshot{"a", "s", {}, {}});
  say(1, wire::map{volume_id{1}, snapshot_number{1}, chunk_no{0}});
  wire::commit copied;
  copied.volume = volume_id{1}, copied.epoch = {snapshot_number{1}, 0};
  copied.entries = {{chunk_no{5}, reservation_id{1}, store_chunk{0}}, {chunk_no{6}, {}, store_chunk::zero()}};
  say(0, copied);
  say(8, wire::renew{});
  say(1, wire::unshared_query{volume_id{1}, {}, chunk_no{0}, 64});
  say(2, wire::diff{"a", "s", "", {}, {}, {}, {}});
  say(2, wire::rename{{}, {"a", "s"}, "t"});
  say(2, wire::remove{{}, {"a", "t"}});
  say(2, wire::list{});
  write(directory + "/copy-out", bytes);
  say(32, greeting);
  say(16, wire::renew{});
  say(128, wire::renew{});
  say(1, wire::goodbye{});
  write(directory + "/endings", bytes);
}

void write_store_texts(const std::string &directory) {
  using namespace csnap::store;
  csnap::test::memory_device device(std::uint64_t{9} << 20);
  format_request request;
  request.store.bytes.fill(std::byte{1});
  request.chunk_bytes = 4096, request.node_count = 2;
  request.origins = {{"a", "/dev/a", 300 * 4096}, {"b", "/dev/\"b\"", 300 * 4096}};
  check(format_store(device, nullptr, request).has_value(), "format");
  auto e = engine::take_over(device, {});
  csnap::test::record_source source(3, 300);
  std::vector<std::byte> log{std::byte{2}};
  for (int i = 0; i < 40; ++i) {
    const record r = source.next(**e);
    if (std::holds_alternative<volume_added>(r) || !(*e)->append(r)) continue;
    const auto encoded = encode_record(r);
    log.insert(log.end(), encoded.begin(), encoded.end());
  }
  check(csnap::test::run_log_batch(**e, device).has_value(), "log");
  std::string text;
  check(dump_store(device, [&](std::string_view piece) { text += piece; }).has_value(), "dump");
  write(directory + "/dump/history", std::as_bytes(std::span(text)));
  write(directory + "/log/history", log);
}

// What a sample store's own history could go on with: records of each kind that fit it.
void write_log_that_fits(const std::string &directory) {
  auto device = csnap::test::make_sample_store();
  const auto e = csnap::store::engine::open_read_only(device, 1u << 20);
  csnap::test::record_source source(5, 4000);
  std::vector<std::byte> log{std::byte{2}};
  for (int i = 0; i < 30; ++i) {
    const auto r = source.next(**e);
    if (!(*e)->append(r)) continue;
    const auto encoded = csnap::store::encode_record(r);
    log.insert(log.end(), encoded.begin(), encoded.end());
  }
  write(directory + "/fits", log);
}

void write_patches(const std::string &directory) {
  for (unsigned n = 0; n < 40; ++n) {
    std::vector<std::byte> patches;
    for (unsigned i = 0; i < 4; ++i)
      for (const unsigned b : {n * 3 + i, 0u, 64 + (n * 37 + i * 11) % 200, 0u, (n * 91 + i) & 0xff})
        patches.push_back(static_cast<std::byte>(b));
    write(directory + "/" + std::to_string(n), patches);
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  for (std::size_t type = 0; type < wire::message_types; ++type) {
    const auto e = wire::random_envelope(type, 3);
    write(directory + "/frame/" + wire::message_name(e.body), wire::encode_frame(e));
  }
  for (std::size_t type = 0; type < wire::agent::message_types; ++type) {
    const auto m = wire::agent::random_message(type, 3);
    write(directory + "/agent/" + wire::agent::message_name(m), wire::agent::encode_frame(m));
  }
  write_records(directory + "/record");
  write_blocks(directory + "/block");
  write_sessions(directory + "/session");
  write_store_texts(directory);
  write_log_that_fits(directory + "/log");
  write_patches(directory + "/image");
  return 0;
}
