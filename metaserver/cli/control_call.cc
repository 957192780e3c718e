// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/control_call.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace csnap::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t answer_bytes_max = 64u << 10;

class control_link {
 public:
  explicit control_link(int fd) : fd_(fd) {}
  control_link(control_link &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~control_link() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

error cannot(const std::string &path, int number) {
  const bool nobody = number == ECONNREFUSED || number == ENOENT;
  return fail(nobody ? errc::not_found : errc::io,
              nobody ? "no server has the control socket " + path
                     : "control socket " + path + ": " + std::strerror(number));
}

// A full queue of connections (EAGAIN) is somebody's too: whoever has it is stopped, perhaps.
result<control_link> open_link(const std::string &path) {
  struct sockaddr_un where {};
  where.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof where.sun_path)
    return fail(errc::invalid, "the path of the control socket is missing or too long");
  path.copy(where.sun_path, path.size());
  control_link made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (made.fd() < 0) return cannot(path, errno);
  if (::connect(made.fd(), reinterpret_cast<const struct sockaddr *>(&where), sizeof where) != 0)
    return cannot(path, errno);
  return made;
}

}  // namespace

result<std::string> give_order(const std::string &socket_path, const std::string &line,
                               milliseconds timeout) {
  const auto until = steady_clock::now() + timeout;
  auto link = open_link(socket_path);
  if (!link) return link.error();
  const std::string sent = line + "\n";
  if (::send(link->fd(), sent.data(), sent.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(sent.size()))
    return cannot(socket_path, errno);
  std::string answer;
  while (answer.empty() || answer.back() != '\n') {
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
    struct pollfd readable {
      link->fd(), POLLIN, 0
    };
    const int ready = ::poll(&readable, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (ready == 0) return fail(errc::timed_out, "the server at " + socket_path + " does not answer");
    if (ready < 0 && errno != EINTR) return cannot(socket_path, errno);
    if (ready < 0) continue;
    char piece[4096];
    const ssize_t count = ::recv(link->fd(), piece, sizeof piece, 0);
    if (count <= 0 || answer.size() > answer_bytes_max)
      return fail(errc::io, "the server at " + socket_path + " ended without an answer: see its log");
    answer.append(piece, static_cast<std::size_t>(count));
  }
  answer.pop_back();
  if (answer.starts_with("ok ")) return answer.substr(3);
  return fail(errc::refused, answer.starts_with("failed ") ? answer.substr(7) : answer);
}

result<pid_t> process_behind(const std::string &socket_path) {
  auto link = open_link(socket_path);
  if (!link) return link.error();
  struct ucred who {};
  socklen_t size = sizeof who;
  if (::getsockopt(link->fd(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return cannot(socket_path, errno);
  return who.pid;
}

}  // namespace csnap::cli
