// SPDX-License-Identifier: BSD-3-Clause
//
// CRC-32C (Castagnoli), RFC 3720 appendix B.4. No Debian package offers it for C++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace csnap {

// The checksum of `bytes`, continuing from `previous` (0 to begin): crc32c(b, crc32c(a)) is the
// checksum of a followed by b.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous = 0);

}  // namespace csnap
