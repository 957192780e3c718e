// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/background.h"

#include "metaserver/attach/owned_fd.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace csnap::attach {
namespace {

// The first byte is the exit status.
beginning read_beginning(int fd) {
  std::string bytes;
  char part[512];
  for (ssize_t n; (n = ::read(fd, part, sizeof part)) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) bytes.append(part, static_cast<std::size_t>(n));
  }
  if (bytes.empty()) return {1, "the process that was to go on in the background died"};
  return {static_cast<unsigned char>(bytes[0]), bytes.substr(1)};
}

void say_beginning(int fd, const beginning &how) {
  const std::string bytes = static_cast<char>(how.exit_status) + how.text;
  (void)!::write(fd, bytes.data(), bytes.size());
}

void leave_terminal() {
  const owned_fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int each : {0, 1, 2}) ::dup2(nothing.get(), each);
}

}  // namespace

beginning run_in_background(
    const std::function<void(const std::function<void(const beginning &)> &begun)> &work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {1, std::string("pipe: ") + std::strerror(errno)};
  owned_fd from(ends[0]), to(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return {1, std::string("fork: ") + std::strerror(errno)};
  if (child > 0) {
    to = owned_fd();
    return read_beginning(from.get());
  }
  from = owned_fd();
  ::setsid();
  // What the caller had open, a lock perhaps, is not the supervisor's to keep.
  const auto kept = static_cast<unsigned>(to.get());
  if (kept > 3) ::close_range(3, kept - 1, 0);
  ::close_range(kept + 1, ~0U, 0);
  if (::chdir("/") != 0) std::_Exit(1);
  work([&](const beginning &how) {
    say_beginning(to.get(), how);
    leave_terminal();
    to = owned_fd();
  });
  std::_Exit(0);
}

}  // namespace csnap::attach
