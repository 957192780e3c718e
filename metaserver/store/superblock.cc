// SPDX-License-Identifier: BSD-3-Clause
//
// Payload of a superblock: u8[16] store id, u64 restore generation, u8 role, u8 state, u8 separate metadata,
// u8 zero, u32 chunk bytes, u32 nodes, u32 zero, u64 slots offset, u64 logs offset, u64 log blocks per node,
// u64 pages offset, u64 pages, u64 chunks offset, u64 chunks, u64 time of creation.
#include "metaserver/store/superblock_blocks.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/store/block.h"

#include <algorithm>

namespace csnap::store {

namespace {

// No sum or product of sizes below this can overflow.
constexpr std::uint64_t device_bytes_max = std::uint64_t{1} << 60;

constexpr std::uint32_t chunk_bytes_min = 4096;
constexpr std::uint32_t chunk_bytes_max = 1u << 20;

std::uint64_t metadata_end(const geometry &g) { return g.pages_offset_bytes + g.page_count * block_bytes; }

// The map of chunks is written whole now and then, to new pages: with the rest it must fit in well.
constexpr std::uint64_t pages_per_map_block = 4;

// The first rule that a geometry breaks, or null.
const char *wrong_with_metadata(const geometry &g) {
  if (g.node_count == 0 || g.node_count > node_count_max) return "number of nodes";
  for (const std::uint64_t offset : {g.slots_offset_bytes, g.logs_offset_bytes, g.pages_offset_bytes})
    if (offset % block_bytes != 0 || offset > device_bytes_max) return "offset of a region";
  if (g.log_blocks == 0 || g.log_blocks > device_bytes_max / block_bytes / node_count_max)
    return "size of a log";
  if (g.page_count < area_count || g.page_count > device_bytes_max / block_bytes) return "number of pages";
  if (g.slots_offset_bytes < superblock_copies * block_bytes) return "offset of the slots";
  if (g.slots_offset_bytes + g.node_count * blocks_per_slot * block_bytes > g.logs_offset_bytes)
    return "offset of the logs";
  if (g.logs_offset_bytes + g.node_count * g.log_blocks * block_bytes > g.pages_offset_bytes)
    return "offset of the pages";
  return nullptr;
}

const char *wrong_with_chunks(const geometry &g) {
  if (g.chunk_bytes < chunk_bytes_min || g.chunk_bytes > chunk_bytes_max ||
      (g.chunk_bytes & (g.chunk_bytes - 1)) != 0)
    return "chunk size";
  if (g.chunks_offset_bytes % g.chunk_bytes != 0 || g.chunks_offset_bytes > device_bytes_max)
    return "offset of the chunks";
  if (g.chunk_count == 0 || g.chunk_count > device_bytes_max / g.chunk_bytes) return "number of chunks";
  // The map of chunks lies in pages: what does not fit there is not true, and would only cost memory.
  if (g.chunk_count / space_map_bits >= g.page_count) return "number of chunks";
  const std::uint64_t begin = g.separate_metadata ? superblock_copies * block_bytes : metadata_end(g);
  return g.chunks_offset_bytes < begin ? "offset of the chunks" : nullptr;
}

bool role_fits(const superblock &s) {
  const auto role = static_cast<device_role>(s.role);
  return s.shape.separate_metadata ? role == device_role::metadata || role == device_role::data
                                   : role == device_role::combined;
}

}  // namespace

std::uint64_t chunk_count_max(const geometry &shape) {
  return std::min(shape.page_count / pages_per_map_block * space_map_bits,
                  (device_bytes_max - shape.chunks_offset_bytes) / shape.chunk_bytes);
}

std::vector<std::byte> encode_superblock(const superblock &s) {
  const geometry &g = s.shape;
  byte_writer out;
  out.raw(g.store.bytes);
  out.u64(g.restore_generation);
  out.u8(s.role);
  out.u8(static_cast<std::uint8_t>(s.state));
  out.u8(g.separate_metadata ? 1 : 0);
  out.u8(0);
  out.u32(g.chunk_bytes);
  out.u32(g.node_count);
  out.u32(0);
  for (const std::uint64_t value :
       {g.slots_offset_bytes, g.logs_offset_bytes, g.log_blocks, g.pages_offset_bytes, g.page_count,
        g.chunks_offset_bytes, g.chunk_count, static_cast<std::uint64_t>(g.created_unix_ms)})
    out.u64(value);
  return out.release();
}

result<superblock> decode_superblock(std::span<const std::byte> payload) {
  byte_reader in(payload);
  superblock s;
  geometry &g = s.shape;
  const auto id = in.take(g.store.bytes.size());
  std::copy(id.begin(), id.end(), g.store.bytes.begin());
  g.restore_generation = in.u64();
  s.role = in.u8();
  const std::uint8_t state = in.u8(), separate = in.u8();
  in.u8();
  g.chunk_bytes = in.u32();
  g.node_count = in.u32();
  in.u32();
  for (std::uint64_t *value : {&g.slots_offset_bytes, &g.logs_offset_bytes, &g.log_blocks,
                               &g.pages_offset_bytes, &g.page_count, &g.chunks_offset_bytes, &g.chunk_count})
    *value = in.u64();
  g.created_unix_ms = static_cast<std::int64_t>(in.u64());
  if (!in.finished()) return fail(errc::corrupt, "superblock: its payload has the wrong length");
  if (state < 1 || state > 2)
    return fail(errc::corrupt, "superblock: unknown state " + std::to_string(state));
  if (separate > 1) return fail(errc::corrupt, "superblock: bad flag " + std::to_string(separate));
  s.state = static_cast<format_state>(state);
  g.separate_metadata = separate == 1;
  if (!role_fits(s)) return fail(errc::corrupt, "superblock: unknown role " + std::to_string(s.role));
  const char *wrong = wrong_with_metadata(g);
  if (wrong == nullptr) wrong = wrong_with_chunks(g);
  if (wrong != nullptr) return fail(errc::corrupt, std::string("superblock: impossible ") + wrong);
  return s;
}

std::vector<device_write> superblock_writes(const geometry &shape, device_role role, format_state state) {
  const auto payload = encode_superblock({shape, static_cast<std::uint8_t>(role), state});
  std::vector<device_write> writes;
  for (std::uint64_t block = superblock_copies; block-- > 0;) {
    block_header header;
    header.type = block_type::superblock;
    header.block = block;
    header.store = shape.store;
    header.detail = static_cast<std::uint32_t>(role);
    writes.push_back({block * block_bytes, seal_block(header, payload)});
  }
  return writes;
}

result<superblock> read_superblock_copy(block_device &device, std::uint64_t block) {
  std::vector<std::byte> bytes(block_bytes);
  if (device.size_bytes() < (block + 1) * block_bytes)
    return fail(errc::not_found, "no store here: too small");
  if (auto done = device.read(block * block_bytes, bytes); !done) return done.error();
  byte_reader in(bytes);
  if (in.u32() != block_magic) return fail(errc::not_found, "no csnap store here");
  // Which store it is can only be learned from the block itself.
  in.take(12);
  unique_id store;
  const auto id = in.take(store.bytes.size());
  std::copy(id.begin(), id.end(), store.bytes.begin());
  const auto header = open_block(bytes, block_type::superblock, block, store);
  if (!header) return header.error();
  auto decoded = decode_superblock(payload_of(bytes, *header));
  if (!decoded)
    return fail(decoded.error().code, "block " + std::to_string(block) + ": " + decoded.error().text);
  if (decoded->shape.store != store) return fail(errc::corrupt, "superblock: two store ids");
  if (decoded->role != header->detail) return damaged(block, "role", header->detail, decoded->role);
  return decoded;
}

result<superblock> read_superblock(block_device &device) {
  auto found = read_superblock_copy(device, 0);
  // A newer format is no damage: its copy must not be taken for the truth.
  if (!found && found.error().code != errc::unsupported)
    if (auto copy = read_superblock_copy(device, 1); copy || found.error().code == errc::not_found)
      found = copy;
  if (!found) return found;
  const auto role = static_cast<device_role>(found->role);
  const std::uint64_t needed =
      role == device_role::metadata ? metadata_end(found->shape) : found->shape.chunks_end_bytes();
  if (device.size_bytes() < needed)
    return fail(errc::corrupt, "the store needs a device of " + std::to_string(needed) + " bytes, found " +
                                   std::to_string(device.size_bytes()));
  return found;
}

}  // namespace csnap::store
