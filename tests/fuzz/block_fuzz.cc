// SPDX-License-Identifier: BSD-3-Clause
//
// Blocks of the metadata device: header, slots, superblocks. The first byte of the input chooses the type. The
// checksum is set right, so that the decoders behind it are reached.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/check.h"
#include "metaserver/base/crc32c.h"
#include "metaserver/store/disk_format.h"

#include <algorithm>
#include <span>
#include <vector>

using namespace csnap;

namespace {

void put_u32(std::vector<std::byte> &block, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) block[at + i] = static_cast<std::byte>(value >> (8 * i));
}

void try_payloads(std::span<const std::byte> payload) {
  if (const auto slot = store::decode_slot(payload)) {
    const auto again = store::decode_slot(store::encode_slot(*slot));
    check(again.has_value() && again->newest_root == slot->newest_root, "a slot changes when written again");
  }
  if (const auto superblock = store::decode_superblock(payload)) {
    const auto again = store::decode_superblock(store::encode_superblock(*superblock));
    check(again.has_value() && again->shape == superblock->shape, "a superblock changes when written again");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size == 0) return 0;
  const auto raw = std::as_bytes(std::span(data, size));
  try_payloads(raw.subspan(1));

  std::vector<std::byte> block(raw.begin() + 1, raw.end());
  const unique_id own{};
  const auto type = static_cast<store::block_type>(1 + data[0] % 7);
  (void)store::open_block(block, type, 5, own);
  block.resize(store::block_bytes);
  put_u32(block, 0, store::block_magic);
  put_u32(block, 4, static_cast<std::uint32_t>(type) | store::format_version << 16);
  for (std::size_t i = 8; i < 32; ++i) block[i] = std::byte{i == 8 ? std::uint8_t{5} : std::uint8_t{0}};
  put_u32(block, 44, 0);
  put_u32(block, 44, crc32c(block));
  const auto header = store::open_block(block, type, 5, own);
  if (!header) return 0;
  check(header->payload_bytes <= store::payload_bytes_max, "a block's payload is longer than the block");
  try_payloads(std::span<const std::byte>(block).subspan(store::header_bytes, header->payload_bytes));
  return 0;
}
