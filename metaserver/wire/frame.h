// SPDX-License-Identifier: BSD-3-Clause
//
// A message as bytes: a 40-byte header and the payload, little endian.
//
//   0 u32 magic "CSNP"   8 u32 payload bytes                    16 u64 request id     32 u32 term node
//   4 u16 version       12 u32 CRC-32C of header and payload    24 u64 term counter   36 u32 reserved, 0
//   6 u16 type                 with this field zero
#pragma once

#include "metaserver/wire/messages.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace csnap::wire {

inline constexpr std::uint32_t frame_magic = 0x504e5343;  // "CSNP"
inline constexpr std::size_t frame_header_bytes = 40;

// Precondition: every list and text is within its limit (check()).
std::vector<std::byte> encode_frame(const envelope &e);

// Looks at the header only, before anything is allocated: how many bytes the whole frame has.
// Errors: invalid (magic, length), unsupported (version); the connection is then beyond repair.
result<std::size_t> frame_size(std::span<const std::byte, frame_header_bytes> header);

// `frame` is exactly one frame. Errors: invalid, with what is wrong.
result<envelope> decode_frame(std::span<const std::byte> frame);

const char *message_name(const message &m);

}  // namespace csnap::wire
