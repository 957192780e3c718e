// SPDX-License-Identifier: BSD-3-Clause
//
// What all back ends share: range checks, and whole transfers on a file descriptor.
#pragma once

#include "metaserver/base/block_device.h"

#include <string>

namespace csnap {

// Errors: invalid when the range does not lie within the device.
result<> check_range(const block_device &device, std::uint64_t offset_bytes, std::uint64_t length_bytes);

// errno as one of ours: io unless it is clearly about rights, names, space or use.
error system_error_at(const std::string &what, int number);

// Of a transfer: no_space or io. Clients treat a full device otherwise than a broken one (qemu's werror=enospc).
error transfer_error_at(const std::string &what, int number);

// Transfer everything, also when the kernel takes it in pieces or a signal interrupts.
result<> read_fully(int fd, const std::string &name, std::uint64_t offset_bytes, std::span<std::byte> into);
result<> write_fully(int fd, const std::string &name, std::uint64_t offset_bytes,
                     std::span<const std::byte> from, durability how);

// Writes zeroes through device.write() in bounded pieces.
result<> write_zeroes(block_device &device, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                      durability how);

}  // namespace csnap
