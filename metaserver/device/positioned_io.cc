// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/positioned_io.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <sys/uio.h>
#include <unistd.h>

namespace csnap {

namespace {

// The kernel takes at most 2 GiB - 4 KiB in one call; a multiple of every block size keeps O_DIRECT aligned.
constexpr std::size_t transfer_bytes_max = 1u << 30;

constexpr std::size_t zero_piece_bytes = 1u << 20;
alignas(4096) constinit std::byte const zero_piece[zero_piece_bytes] = {};

std::string place(const std::string &name, const char *verb, std::uint64_t offset) {
  return name + ": " + verb + " at byte " + std::to_string(offset);
}

errc code_of(int number) {
  switch (number) {
    case ENOENT:
    case ENODEV:
    case ENXIO: return errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return errc::refused;
    case EBUSY: return errc::busy;
    case ENOSPC:
    case EDQUOT: return errc::no_space;
    default: return errc::io;
  }
}

}  // namespace

result<> check_range(const block_device &device, std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t size = device.size_bytes();
  if (offset <= size && length <= size - offset) return {};
  return fail(errc::invalid, "range at " + std::to_string(offset) + " of " + std::to_string(length) +
                                 " bytes is outside the device of " + std::to_string(size) + " bytes");
}

error system_error_at(const std::string &what, int number) {
  return fail(code_of(number), what + ": " + std::generic_category().message(number));
}

error transfer_error_at(const std::string &what, int number) {
  error e = system_error_at(what, number);
  if (e.code != errc::no_space) e.code = errc::io;
  return e;
}

result<> read_fully(int fd, const std::string &name, std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t got =
        ::pread(fd, into.data(), std::min(into.size(), transfer_bytes_max), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errc::io, system_error_at(place(name, "read", offset), errno).text);
    if (got == 0) return fail(errc::io, place(name, "read", offset) + ": unexpected end of the device");
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

result<> write_fully(int fd, const std::string &name, std::uint64_t offset, std::span<const std::byte> from,
                     durability how) {
  const int flags = how == durability::durable ? RWF_DSYNC : 0;
  while (!from.empty()) {
    const iovec piece{const_cast<std::byte *>(from.data()), std::min(from.size(), transfer_bytes_max)};
    const ssize_t put = ::pwritev2(fd, &piece, 1, static_cast<off_t>(offset), flags);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return transfer_error_at(place(name, "write", offset), errno);
    if (put == 0) return fail(errc::io, place(name, "write", offset) + ": the device takes nothing");
    from = from.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

result<> write_zeroes(block_device &device, std::uint64_t offset, std::uint64_t length, durability how) {
  while (length > 0) {
    const std::size_t count = std::min<std::uint64_t>(length, zero_piece_bytes);
    if (auto r = device.write(offset, std::span(zero_piece).first(count), how); !r) return r;
    offset += count;
    length -= count;
  }
  return {};
}

}  // namespace csnap
