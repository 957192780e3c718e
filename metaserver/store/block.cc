// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/block.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/check.h"
#include "metaserver/base/crc32c.h"

#include <algorithm>

namespace csnap::store {
namespace {

constexpr std::size_t checksum_offset = 44;

template <class Integer>
void put(std::byte *&at, Integer value) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i) *at++ = static_cast<std::byte>((value >> (8 * i)) & 0xff);
}

std::uint32_t checksum_of(std::span<const std::byte> block) {
  constexpr std::array<std::byte, 4> zero{};
  const std::uint32_t head = crc32c(block.first(checksum_offset));
  return crc32c(block.subspan(checksum_offset + 4), crc32c(zero, head));
}

}  // namespace

error damaged(std::uint64_t block, const std::string &what, std::uint64_t expected, std::uint64_t found) {
  return fail(errc::corrupt, "block " + std::to_string(block) + ": " + what + ": expected " +
                                 std::to_string(expected) + ", found " + std::to_string(found));
}

void seal_in_place(std::span<std::byte> block, const block_header &header) {
  check(block.size() == block_bytes && header.payload_bytes <= payload_bytes_max, "block size");
  std::byte *at = block.data();
  put(at, block_magic);
  put(at, static_cast<std::uint16_t>(header.type));
  put(at, static_cast<std::uint16_t>(format_version));
  put(at, header.block);
  at = std::copy(header.store.bytes.begin(), header.store.bytes.end(), at);
  put(at, header.term.counter);
  put(at, header.term.node);
  put(at, std::uint32_t{0});
  put(at, header.sequence);
  put(at, header.payload_bytes);
  put(at, header.detail);
  std::byte *checksum_at = block.data() + checksum_offset;
  put(checksum_at, checksum_of(block));
}

std::uint32_t stored_checksum(std::span<const std::byte> block) {
  return byte_reader(block.subspan(checksum_offset, 4)).u32();
}

std::vector<std::byte> seal_block(const block_header &header, std::span<const std::byte> payload) {
  check(payload.size() <= payload_bytes_max, "payload too long for a block");
  std::vector<std::byte> block(block_bytes);
  std::copy(payload.begin(), payload.end(), block.begin() + header_bytes);
  block_header complete = header;
  complete.payload_bytes = static_cast<std::uint32_t>(payload.size());
  seal_in_place(block, complete);
  return block;
}

result<block_header> open_block(std::span<const std::byte> block, block_type expected_type,
                                std::uint64_t expected_block, const unique_id &expected_store,
                                const planted_mistakes &planted) {
  if (block.size() != block_bytes) return damaged(expected_block, "size", block_bytes, block.size());
  byte_reader in(block);
  const std::uint32_t magic = in.u32();
  if (magic != block_magic) return damaged(expected_block, "magic", block_magic, magic);
  const std::uint16_t type = in.u16();
  const std::uint16_t version = in.u16();
  block_header header;
  header.block = in.u64();
  const auto id = in.take(header.store.bytes.size());
  std::copy(id.begin(), id.end(), header.store.bytes.begin());
  header.term.counter = in.u64();
  header.term.node = in.u32();
  const std::uint32_t checksum = in.u32();
  header.sequence = in.u64();
  header.payload_bytes = in.u32();
  header.detail = in.u32();

  const std::uint32_t computed = checksum_of(block);
  if (checksum != computed && !planted.checksum_ignored)
    return damaged(expected_block, "checksum", computed, checksum);
  if (version != format_version)
    return fail(errc::unsupported, "block " + std::to_string(expected_block) + ": format version " +
                                       std::to_string(version) + ", this program knows " +
                                       std::to_string(format_version));
  if (type != static_cast<std::uint16_t>(expected_type))
    return damaged(expected_block, "type", static_cast<std::uint16_t>(expected_type), type);
  header.type = expected_type;
  if (header.block != expected_block && !planted.address_ignored)
    return damaged(expected_block, "own number", expected_block, header.block);
  if (header.store != expected_store)
    return fail(errc::corrupt, "block " + std::to_string(expected_block) + ": store: expected " +
                                   to_text(expected_store) + ", found " + to_text(header.store));
  if (header.payload_bytes > payload_bytes_max)
    return damaged(expected_block, "payload size at most", payload_bytes_max, header.payload_bytes);
  return header;
}

result<block_header> read_block(block_device &device, const geometry &shape, block_type type,
                                std::uint64_t block, std::span<std::byte> into,
                                const planted_mistakes &planted) {
  if (block >= device.size_bytes() / block_bytes)
    return damaged(block, "block number below", device.size_bytes() / block_bytes, block);
  auto done = device.read(block * block_bytes, into);
  if (!done) return done.error();
  return open_block(into, type, block, shape.store, planted);
}

result<block_header> read_page(block_device &device, const geometry &shape, block_type type,
                               const page_pointer &where, std::span<std::byte> into,
                               const planted_mistakes &planted) {
  auto header = read_block(device, shape, type, where.block, into, planted);
  if (!header || planted.stale_page_ok) return header;
  if (header->sequence != where.generation)
    return damaged(where.block, "generation", where.generation, header->sequence);
  if (header->term != where.term)
    return fail(errc::corrupt, "block " + std::to_string(where.block) + ": term: expected " +
                                   to_text(where.term) + ", found " + to_text(header->term));
  return header;
}

}  // namespace csnap::store
