// SPDX-License-Identifier: BSD-3-Clause
//
// The server's own Unix socket for orders to this very server, whatever its role: one line in, one line out,
// then the connection is closed. Only root and the server's own user are heard, by the kernel's word on who
// the peer is. The lines are described in docs/protocol.md, "The control socket".
//
// It is also how others know that the server lives: it is closed when the process, with all its threads and
// their I/O, is gone, and not before.
#pragma once

#include "metaserver/server/listener.h"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

namespace csnap::server {

class control_socket {
 public:
  // Answers once, from the io_context, now or later; a peer that has gone by then is no error. `written` is
  // called when the answer has left, or cannot any more.
  using reply = std::function<void(const std::string &line, std::function<void()> written)>;
  using on_line = std::function<void(const std::string &line, reply answer)>;

  // Makes the socket, mode 0600; one that a dead server left is replaced. Errors: as listener::open().
  static result<std::unique_ptr<control_socket>> open(boost::asio::io_context &io, const std::string &path,
                                                      on_line line);
  ~control_socket();
  control_socket(const control_socket &) = delete;
  control_socket &operator=(const control_socket &) = delete;

  void start() { listener_->start(); }

 private:
  class peer;
  explicit control_socket(on_line line) : on_line_(std::move(line)) {}
  void accepted(connection::socket from);

  const on_line on_line_;
  const std::shared_ptr<std::size_t> peers_ = std::make_shared<std::size_t>(0);  // peers outlive us
  std::unique_ptr<listener> listener_;
};

}  // namespace csnap::server
