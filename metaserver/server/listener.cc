// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/listener.h"

#include "metaserver/server/log.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <cstring>
#include <filesystem>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

error failed_at(const client::endpoint &where, const error_code &why) {
  const errc code = why == asio::error::access_denied ? errc::refused : errc::io;
  return fail(code, "cannot listen on " + where.text() + ": " + why.message());
}

// A socket file outlives its server. Whether one is dead only a connection tells.
result<> remove_stale_socket(const client::endpoint &where) {
  struct stat about {};
  if (::lstat(where.path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode))
    return fail(errc::exists, "cannot listen on " + where.text() + ": that file exists and is no socket");
  asio::io_context io;
  asio::local::stream_protocol::socket probe(io);
  error_code outcome;
  (void)probe.connect(asio::local::stream_protocol::endpoint(where.path), outcome);
  if (outcome != asio::error::connection_refused) {
    if (outcome) return failed_at(where, outcome);
    return fail(errc::busy,
                "cannot listen on " + where.text() + ": another server answers there; use another path");
  }
  if (::unlink(where.path.c_str()) != 0 && errno != ENOENT)
    return failed_at(where, error_code(errno, boost::system::system_category()));
  return {};
}

}  // namespace

result<std::unique_ptr<listener>> listener::open(asio::io_context &io, const client::endpoint &where,
                                                 on_accept accepted, bool insecure) {
  std::unique_ptr<listener> made(new listener(io, where, std::move(accepted), insecure));
  const result<> opened =
      where.type == client::endpoint::kind::unix_socket ? made->open_unix() : made->open_tcp();
  if (!opened) return opened.error();
  return made;
}

listener::~listener() { stop(); }

result<> listener::open_unix() {
  std::error_code no_directory;
  where_.path = std::filesystem::absolute(where_.path, no_directory).string();  // clients may be elsewhere
  if (no_directory || where_.path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(errc::invalid,
                "cannot listen on " + where_.text() + ": the path is longer than a socket's may be (107)");
  if (const auto removed = remove_stale_socket(where_); !removed) return removed.error();
  // The mode has to be right from the first moment on; no other thread makes files yet.
  const mode_t before = ::umask(0177);
  const auto bound = bind_and_listen(asio::local::stream_protocol::endpoint(where_.path));
  ::umask(before);
  if (!bound) return bound.error();
  struct stat about {};
  if (::lstat(where_.path.c_str(), &about) == 0) socket_file_ = about.st_ino;
  return {};
}

result<> listener::open_tcp() {
  if (!insecure_ && !client::is_loopback(where_))
    return fail(errc::unsupported,
                "cannot listen on " + where_.text() +
                    ": plain TCP is served on loopback only until TLS is offered; use unix:PATH or "
                    "tcp:127.0.0.1:PORT, or --insecure on a network where everybody may do everything");
  asio::ip::tcp::resolver resolver(acceptor_.get_executor());
  error_code failed;
  const auto found = resolver.resolve(where_.host, std::to_string(where_.port), failed);
  if (failed) return failed_at(where_, failed);
  // A name is only as good as what it resolves to.
  for (const auto &entry : found)
    if (insecure_ || entry.endpoint().address().is_loopback()) return bind_tcp(entry.endpoint());
  return fail(errc::unsupported, "cannot listen on " + where_.text() + ": its address is not a loopback one");
}

// Others are told where we listen: an address that means another host to them, or port 0, is no place.
result<> listener::bind_tcp(const asio::ip::tcp::endpoint &address) {
  if (address.address().is_unspecified())
    return fail(errc::invalid, "cannot listen on " + where_.text() +
                                   ": name the one address at which the other nodes reach this server");
  if (const auto bound = bind_and_listen(address); !bound) return bound;
  error_code failed;
  const auto local = acceptor_.local_endpoint(failed);
  if (failed) return failed_at(where_, failed);
  asio::ip::tcp::endpoint with_port;
  std::memcpy(with_port.data(), local.data(), std::min(local.size(), with_port.capacity()));
  where_.port = with_port.port();
  return {};
}

result<> listener::bind_and_listen(const asio::generic::stream_protocol::endpoint &address) {
  error_code failed;
  (void)acceptor_.open(address.protocol(), failed);
  if (!failed && where_.type == client::endpoint::kind::tcp)
    (void)acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed) (void)acceptor_.bind(address, failed);
  if (!failed) (void)acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) return failed_at(where_, failed);
  return {};
}

void listener::accept_next() {
  acceptor_.async_accept([this](const error_code &failed, connection::socket peer) {
    if (failed == asio::error::operation_aborted) return;
    if (!failed) {
      const asio::detail::socket_option::boolean<IPPROTO_TCP, TCP_NODELAY> at_once(true);
      error_code ignored;
      if (where_.type == client::endpoint::kind::tcp) (void)peer.set_option(at_once, ignored);
      accepted_(std::move(peer));
      return accept_next();
    }
    // Out of descriptors or memory: those who are connected are served, the rest waits in the backlog.
    log(log_level::warning, "cannot accept a connection on " + where_.text() + ": " + failed.message());
    retry_.expires_after(std::chrono::milliseconds(500));
    retry_.async_wait([this](const error_code &cancelled) {
      if (!cancelled) accept_next();
    });
  });
}

void listener::stop() {
  error_code ignored;
  (void)acceptor_.close(ignored);
  retry_.cancel();
  struct stat about {};
  if (socket_file_ != 0 && ::lstat(where_.path.c_str(), &about) == 0 && about.st_ino == socket_file_)
    ::unlink(where_.path.c_str());
  socket_file_ = 0;
}

}  // namespace csnap::server
