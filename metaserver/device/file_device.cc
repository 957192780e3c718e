// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/file_device.h"

#include "metaserver/device/positioned_io.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace csnap {

file_device::~file_device() {
  ::close(parts_.flush_fd);
  ::close(parts_.fd);
}

// Of both kinds; of a file that others write it is where they have got to.
result<> file_device::measure() {
  const off_t end =
      ::lseek(parts_.fd, 0, SEEK_END);  // all I/O names its offset: nobody minds where this one is
  if (end < 0) return system_error_at(parts_.name, errno);
  size_bytes_.store(static_cast<std::uint64_t>(end), std::memory_order_relaxed);
  return {};
}

result<> file_device::read(std::uint64_t offset, std::span<std::byte> into) {
  if (auto r = check_range(*this, offset, into.size()); !r) return r;
  return read_fully(parts_.fd, parts_.name, offset, into);
}

result<> file_device::write(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  if (auto r = check_range(*this, offset, from.size()); !r) return r;
  return write_fully(parts_.fd, parts_.name, offset, from, how);
}

result<bool> file_device::try_fallocate(std::atomic<bool> &supported, int mode, std::uint64_t offset,
                                        std::uint64_t length) {
  while (supported.load(std::memory_order_relaxed)) {
    if (::fallocate(parts_.fd, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0)
      return true;
    if (errno == EINTR) continue;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
      return transfer_error_at(parts_.name + ": zero at byte " + std::to_string(offset), errno);
    supported.store(false, std::memory_order_relaxed);
  }
  return false;
}

result<> file_device::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  if (length == 0) return {};
  auto done =
      may_unmap ? try_fallocate(can_punch_, FALLOC_FL_PUNCH_HOLE, offset, length) : result<bool>(false);
  if (done && !*done) done = try_fallocate(can_zero_range_, FALLOC_FL_ZERO_RANGE, offset, length);
  if (!done) return done.error();
  if (!*done) return write_zeroes(*this, offset, length, how);
  return how == durability::durable ? flush() : result<>();
}

result<> file_device::trim(std::uint64_t offset, std::uint64_t length) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  if (length == 0) return {};
  if (auto done = try_fallocate(can_punch_, FALLOC_FL_PUNCH_HOLE, offset, length); !done) return done.error();
  return {};
}

result<> file_device::flush() {
  return flushes_.flush([this]() -> result<> {
    while (::fdatasync(parts_.flush_fd) != 0) {
      if (errno == EINTR) continue;
      return fail(errc::io, system_error_at(parts_.name + ": flush", errno).text);
    }
    return {};
  });
}

}  // namespace csnap
