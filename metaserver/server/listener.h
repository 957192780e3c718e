// SPDX-License-Identifier: BSD-3-Clause
//
// One endpoint that is listened on. A socket file that a dead server left is replaced; one that somebody
// answers on, or a file that is no socket, is not.
#pragma once

#include "metaserver/client/endpoint.h"
#include "metaserver/server/connection.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>

#include <sys/types.h>

namespace csnap::server {

class listener {
 public:
  using on_accept = std::function<void(connection::socket)>;
  // `insecure`: plain TCP on any address, not on loopback only. Port 0 becomes the port that the kernel chose.
  // Errors: busy (another server answers there), exists (the path is no socket), refused, invalid, io.
  static result<std::unique_ptr<listener>> open(boost::asio::io_context &io, const client::endpoint &where,
                                                on_accept accepted, bool insecure = false);
  ~listener();
  listener(const listener &) = delete;
  listener &operator=(const listener &) = delete;

  void start() { accept_next(); }
  // Takes nobody any more and removes the socket file, if it is still ours.
  void stop();
  const client::endpoint &where() const { return where_; }

 private:
  using acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;
  listener(boost::asio::io_context &io, client::endpoint where, on_accept accepted, bool insecure)
      : acceptor_(io),
        retry_(io),
        where_(std::move(where)),
        accepted_(std::move(accepted)),
        insecure_(insecure) {}
  result<> open_unix();
  result<> open_tcp();
  result<> bind_tcp(const boost::asio::ip::tcp::endpoint &address);
  result<> bind_and_listen(const boost::asio::generic::stream_protocol::endpoint &address);
  void accept_next();

  acceptor acceptor_;
  boost::asio::steady_timer retry_;
  client::endpoint where_;
  on_accept accepted_;
  const bool insecure_;
  ino_t socket_file_ = 0;  // 0: none of ours
};

}  // namespace csnap::server
