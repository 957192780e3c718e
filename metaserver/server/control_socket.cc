// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/control_socket.h"

#include "metaserver/server/log.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <optional>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t line_bytes_max = 512;
constexpr std::size_t peers_max = 64;
constexpr std::chrono::seconds line_deadline{10};

bool may_order(int socket) {
  struct ucred who {};
  socklen_t size = sizeof who;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
  return who.uid == 0 || who.uid == ::geteuid();
}

}  // namespace

// Handlers keep it alive; the io_context runs none after the control_socket is gone.
class control_socket::peer : public std::enable_shared_from_this<peer> {
 public:
  peer(connection::socket socket, control_socket &owner)
      : socket_(std::move(socket)), deadline_(socket_.get_executor()), owner_(owner), count_(owner.peers_) {
    ++*count_;
  }
  ~peer() { --*count_; }

  void start() {
    deadline_.expires_after(line_deadline);
    deadline_.async_wait([self = shared_from_this()](const error_code &cancelled) {
      error_code ignored;
      if (!cancelled) self->socket_.close(ignored);
    });
    asio::async_read_until(socket_, asio::dynamic_buffer(input_, line_bytes_max), '\n',
                           [self = shared_from_this()](const error_code &failed, std::size_t count) {
                             self->deadline_.cancel();
                             if (!failed) self->line(self->input_.substr(0, count - 1));
                           });
  }

 private:
  void line(const std::string &text) {
    if (!may_order(socket_.native_handle()))
      return answer("failed only root and the server's own user may give orders", [] {});
    owner_.on_line_(text,
                    [self = shared_from_this()](const std::string &said, std::function<void()> written) {
                      self->answer(said, std::move(written));
                    });
  }
  void answer(const std::string &text, std::function<void()> written) {
    output_ = text + "\n";
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), written = std::move(written)](const error_code &,
                                                                                std::size_t) { written(); });
  }

  connection::socket socket_;
  asio::steady_timer deadline_;
  control_socket &owner_;  // only used while the io_context runs
  const std::shared_ptr<std::size_t> count_;
  std::string input_, output_;
};

result<std::unique_ptr<control_socket>> control_socket::open(asio::io_context &io, const std::string &path,
                                                             on_line line) {
  std::unique_ptr<control_socket> made(new control_socket(std::move(line)));
  client::endpoint where;
  where.path = path;
  control_socket &self = *made;
  auto opened =
      listener::open(io, where, [&self](connection::socket from) { self.accepted(std::move(from)); });
  if (!opened) return opened.error();
  made->listener_ = std::move(*opened);
  return made;
}

control_socket::~control_socket() = default;

void control_socket::accepted(connection::socket from) {
  if (*peers_ >= peers_max) return;  // closes it
  std::make_shared<peer>(std::move(from), *this)->start();
}

}  // namespace csnap::server
