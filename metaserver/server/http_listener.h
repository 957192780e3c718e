// SPDX-License-Identifier: BSD-3-Clause
//
// Answers GET and HEAD of a few fixed pages, for people and for monitoring. Nothing can be changed through it.
// Each connection is one request; how many there are, how long one may be and how long it may take is limited.
#pragma once

#include "metaserver/client/endpoint.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace csnap::server {

struct http_page {
  std::string type;  // as Content-Type
  std::string body;
  unsigned status = 200;
};

class http_listener {
 public:
  // The page at a path, without its query; nothing: there is none.
  using find_page = std::function<std::optional<http_page>(std::string_view path)>;

  static constexpr std::size_t connections_max = 32;

  // `where` is tcp, on loopback. Errors: one line for the operator.
  static result<std::unique_ptr<http_listener>> open(boost::asio::io_context &io,
                                                     const client::endpoint &where, find_page find);
  ~http_listener();
  http_listener(const http_listener &) = delete;
  http_listener &operator=(const http_listener &) = delete;

  // HOST:PORT, with the port that was chosen if 0 was asked for.
  std::string address() const {
    return address_.address().to_string() + ":" + std::to_string(address_.port());
  }

 private:
  http_listener(boost::asio::io_context &io, find_page find);
  void accept_next();

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer retry_;
  boost::asio::ip::tcp::endpoint address_;
  std::shared_ptr<find_page> find_;          // shared with the connections, which may outlive this
  std::shared_ptr<std::size_t> open_count_;  // the same
};

}  // namespace csnap::server
