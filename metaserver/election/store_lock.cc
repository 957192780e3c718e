// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/store_lock.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace csnap {
namespace {

constexpr off_t lock_offset = 0x43534e5000000000;  // "CSNP"

struct flock lock_request(short type) {
  struct flock request {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = lock_offset;
  request.l_len = 1;
  return request;
}

error open_failed(const std::string &path, int number) {
  const errc code = number == ENOENT                                         ? errc::not_found
                    : number == EACCES || number == EPERM || number == EROFS ? errc::refused
                                                                             : errc::io;
  return fail(code, path + ": cannot open it for the master's lock: " + std::strerror(number));
}

}  // namespace

result<store_lock> store_lock::open(const std::string &path, bool create) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (fd < 0) return open_failed(path, errno);
  return store_lock(fd, path);
}

result<bool> store_lock::is_held(const std::string &path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return open_failed(path, errno);
  struct flock request = lock_request(F_WRLCK);
  const int outcome = ::fcntl(fd, F_OFD_GETLK, &request);
  const int number = errno;
  ::close(fd);
  if (outcome != 0)
    return fail(errc::io, path + ": cannot ask for the master's lock: " + std::strerror(number));
  return request.l_type != F_UNLCK;
}

store_lock::store_lock(store_lock &&other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

store_lock::~store_lock() {
  if (fd_ >= 0) ::close(fd_);
}

result<bool> store_lock::try_lock() { return try_type(F_WRLCK); }
result<bool> store_lock::try_share() { return try_type(F_RDLCK); }

result<bool> store_lock::try_type(short type) {
  struct flock request = lock_request(type);
  if (::fcntl(fd_, F_OFD_SETLK, &request) == 0) return true;
  if (errno == EAGAIN || errno == EACCES || errno == EINTR) return false;
  return fail(errc::io, path_ + ": cannot take the master's lock: " + std::strerror(errno));
}

void store_lock::unlock() {
  struct flock request = lock_request(F_UNLCK);
  (void)::fcntl(fd_, F_OFD_SETLK, &request);
}

}  // namespace csnap
