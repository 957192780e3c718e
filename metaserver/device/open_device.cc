// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/open_device.h"

#include "metaserver/device/aligned_device.h"
#include "metaserver/device/file_device.h"
#include "metaserver/device/nbd_device.h"
#include "metaserver/device/positioned_io.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace csnap {

namespace {

// Only what is known to be local: an unknown filesystem may answer for another machine.
bool is_local_filesystem(int fd) {
  constexpr std::array<std::uint32_t, 9> local = {
      EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,      BTRFS_SUPER_MAGIC,         F2FS_SUPER_MAGIC, TMPFS_MAGIC,
      RAMFS_MAGIC,      0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */, 0x3153464a /* JFS */};
  struct statfs about {};
  if (::fstatfs(fd, &about) != 0) return false;
  return std::find(local.begin(), local.end(), static_cast<std::uint32_t>(about.f_type)) != local.end();
}

// The same file again, whatever its name means by now.
int open_again(int fd, int flags) { return ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), flags); }

struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int release() { return std::exchange(fd, -1); }
};

result<std::unique_ptr<opened_device>> open_regular(const std::string &path, descriptor &first, int flags) {
  struct stat about {};
  if (::fstat(first.fd, &about) != 0) return system_error_at(path, errno);
  descriptor flush{open_again(first.fd, flags)};
  if (flush.fd < 0) return system_error_at(path, errno);
  const bool local = is_local_filesystem(first.fd);
  return std::make_unique<file_device>(file_device::parts{path, first.release(), flush.release(),
                                                          static_cast<std::uint64_t>(about.st_size), local});
}

result<std::unique_ptr<opened_device>> open_block(const std::string &path, descriptor &first, int flags,
                                                  open_mode mode) {
  descriptor direct{open_again(first.fd, flags | O_DIRECT | (mode.exclusive ? O_EXCL : 0))};
  if (direct.fd < 0 && errno == EBUSY)
    return fail(errc::busy, path + ": in use (mounted, or claimed otherwise)");
  if (direct.fd < 0) return system_error_at(path, errno);
  int logical_block = 0;
  std::uint64_t size = 0;
  if (::ioctl(direct.fd, BLKSSZGET, &logical_block) != 0 || ::ioctl(direct.fd, BLKGETSIZE64, &size) != 0)
    return system_error_at(path, errno);
  const auto block_bytes = static_cast<std::size_t>(logical_block);
  auto device =
      std::make_unique<file_device>(file_device::parts{path, direct.release(), first.release(), size, true});
  const alignment needs{block_bytes, std::min<std::size_t>(block_bytes, 4096)};
  return std::make_unique<aligned_device>(std::move(device), needs);
}

result<std::unique_ptr<opened_device>> open_path(const std::string &path, open_mode mode) {
  const int flags = (mode.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return system_error_at(path, errno);
  if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode))
    return fail(errc::invalid, path + ": neither a block device nor a regular file");
  descriptor first{::open(path.c_str(), flags)};
  if (first.fd < 0) return system_error_at(path, errno);
  return S_ISBLK(about.st_mode) ? open_block(path, first, flags, mode) : open_regular(path, first, flags);
}

}  // namespace

result<std::unique_ptr<opened_device>> open_device(std::string_view where, open_mode mode) {
  for (const char *scheme : {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"})
    if (where.starts_with(scheme)) return open_nbd_device(std::string(where), mode);
  if (where.empty()) return fail(errc::invalid, "the name of a device is empty");
  return open_path(std::string(where), mode);
}

}  // namespace csnap
