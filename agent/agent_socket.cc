// SPDX-License-Identifier: BSD-3-Clause
//
// The agent's socket file. One that a dead agent left is replaced; one that somebody answers on, or a file that is
// no socket, is not.
#include "agent/node_agent.h"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace csnap::agent {

namespace {

using boost::asio::local::stream_protocol;
using boost::system::error_code;

error cannot_listen(const std::string &path, const std::string &why, errc code = errc::io) {
  return fail(code, "cannot listen on " + path + ": " + why);
}

// Whether a socket file is dead only a connection tells.
result<> remove_dead_socket(const std::string &path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode)) return cannot_listen(path, "that file exists and is no socket", errc::exists);
  boost::asio::io_context io;
  stream_protocol::socket caller(io);
  error_code outcome;
  (void)caller.connect(stream_protocol::endpoint(path), outcome);
  if (!outcome) return cannot_listen(path, "another agent answers there", errc::busy);
  if (outcome != boost::asio::error::connection_refused) return cannot_listen(path, outcome.message());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return cannot_listen(path, std::strerror(errno));
  return {};
}

}  // namespace

result<> node_agent::listen() {
  if (socket_path_.empty() || socket_path_.size() >= sizeof(sockaddr_un::sun_path))
    return cannot_listen(socket_path_, "a socket's path has 1 to 107 bytes", errc::invalid);
  if (const auto removed = remove_dead_socket(socket_path_); !removed) return removed;
  error_code failed;
  (void)acceptor_.open(stream_protocol(), failed);
  // The mode has to be right from the first moment on.
  const mode_t before = ::umask(0177);
  if (!failed) (void)acceptor_.bind(stream_protocol::endpoint(socket_path_), failed);
  ::umask(before);
  if (!failed) (void)acceptor_.listen(boost::asio::socket_base::max_listen_connections, failed);
  if (failed) return cannot_listen(socket_path_, failed.message());
  struct stat about {};
  if (::lstat(socket_path_.c_str(), &about) == 0) socket_file_ = about.st_ino;
  return {};
}

void node_agent::stop() {
  error_code ignored;
  (void)acceptor_.close(ignored);
  struct stat about {};
  if (socket_file_ != 0 && ::lstat(socket_path_.c_str(), &about) == 0 && about.st_ino == socket_file_)
    ::unlink(socket_path_.c_str());
  socket_file_ = 0;
}

}  // namespace csnap::agent
