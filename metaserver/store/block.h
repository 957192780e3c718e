// SPDX-License-Identifier: BSD-3-Clause
//
// Sealing and reading blocks where they lie, without a copy. Layout: disk_format.h.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/disk_format.h"

#include <span>
#include <string>

namespace csnap::store {

// Writes header and checksum into `block`, whose payload is in place and whose padding is zero.
void seal_in_place(std::span<std::byte> block, const block_header &header);

// The checksum that a sealed block carries.
std::uint32_t stored_checksum(std::span<const std::byte> block);

// Reads one block and verifies it. Errors: io, corrupt, unsupported.
result<block_header> read_block(block_device &device, const geometry &shape, block_type type,
                                std::uint64_t block, std::span<std::byte> into,
                                const planted_mistakes &planted = {});

// Reads the page that `where` leads to, and no other: its term and generation are those of the pointer.
result<block_header> read_page(block_device &device, const geometry &shape, block_type type,
                               const page_pointer &where, std::span<std::byte> into,
                               const planted_mistakes &planted = {});

inline std::span<const std::byte> payload_of(std::span<const std::byte> block, const block_header &header) {
  return block.subspan(header_bytes, header.payload_bytes);
}

// "block 17: WHAT expected X, found Y"
error damaged(std::uint64_t block, const std::string &what, std::uint64_t expected, std::uint64_t found);

}  // namespace csnap::store
