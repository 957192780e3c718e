// SPDX-License-Identifier: BSD-3-Clause
//
// A message to or from the agent as bytes: a 16-byte header and the payload, little endian.
//
//   0 u32 magic "CSNA"   4 u16 version   6 u16 type   8 u32 payload bytes
//   12 u32 CRC-32C of header and payload with this field zero
#pragma once

#include "metaserver/wire/agent_messages.h"

#include <cstddef>
#include <span>
#include <vector>

namespace csnap::wire::agent {

inline constexpr std::uint32_t frame_magic = 0x414e5343;  // "CSNA"
inline constexpr std::size_t frame_header_bytes = 16;

// Precondition: every text is within its limit (check()).
std::vector<std::byte> encode_frame(const message &what);

// Looks at the header only: how many bytes the whole frame has. Errors: invalid, unsupported (version); the
// connection is then beyond repair.
result<std::size_t> frame_size(std::span<const std::byte, frame_header_bytes> header);

// `frame` is exactly one frame. Errors: invalid, with what is wrong.
result<message> decode_frame(std::span<const std::byte> frame);

const char *message_name(const message &m);

}  // namespace csnap::wire::agent
