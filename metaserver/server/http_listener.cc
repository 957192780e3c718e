// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/http_listener.h"

#include "metaserver/server/log.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <utility>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::uint32_t header_bytes_max = 8u << 10;
constexpr std::chrono::seconds deadline{5};

class http_connection : public std::enable_shared_from_this<http_connection> {
 public:
  http_connection(asio::ip::tcp::socket peer, std::shared_ptr<http_listener::find_page> find,
                  std::shared_ptr<std::size_t> open_count)
      : stream_(std::move(peer)),
        input_(2 * header_bytes_max),
        find_(std::move(find)),
        count_(std::move(open_count)) {
    ++*count_;
    request_.header_limit(header_bytes_max);
    request_.body_limit(0);  // of a GET
  }
  ~http_connection() { --*count_; }
  http_connection(const http_connection &) = delete;
  http_connection &operator=(const http_connection &) = delete;

  void start() {
    stream_.expires_after(deadline);
    http::async_read(stream_, input_, request_,
                     [self = shared_from_this()](const error_code &failed, std::size_t) {
                       if (!failed) self->answer();
                     });
  }

 private:
  http_page page() const {
    const auto &asked = request_.get();
    if (asked.method() != http::verb::get && asked.method() != http::verb::head)
      return {"text/plain", "only GET and HEAD are answered\n", 405};
    const std::string_view target(asked.target().data(), asked.target().size());
    if (auto found = (*find_)(target.substr(0, target.find('?')))) return std::move(*found);
    return {"text/plain", "there is no such page\n", 404};
  }

  void answer() {
    const http_page what = page();
    answer_.version(11);
    answer_.result(what.status);
    answer_.set(http::field::content_type, what.type);
    answer_.set(http::field::cache_control, "no-store");
    answer_.set("X-Content-Type-Options", "nosniff");
    answer_.set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'");
    answer_.keep_alive(false);
    answer_.content_length(what.body.size());
    if (request_.get().method() != http::verb::head) answer_.body() = what.body;
    http::async_write(stream_, answer_, [self = shared_from_this()](const error_code &, std::size_t) {
      error_code ignored;
      (void)self->stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer input_;
  http::request_parser<http::string_body> request_;
  http::response<http::string_body> answer_;
  std::shared_ptr<http_listener::find_page> find_;
  std::shared_ptr<std::size_t> count_;
};

error failed_at(const client::endpoint &where, const error_code &why) {
  return fail(errc::io,
              "cannot serve HTTP on " + where.host + ":" + std::to_string(where.port) + ": " + why.message());
}

}  // namespace

http_listener::http_listener(asio::io_context &io, find_page find)
    : acceptor_(io),
      retry_(io),
      find_(std::make_shared<find_page>(std::move(find))),
      open_count_(std::make_shared<std::size_t>(0)) {}

http_listener::~http_listener() {
  *find_ = [](std::string_view) { return std::nullopt; };  // who asks later asks nobody
}

result<std::unique_ptr<http_listener>> http_listener::open(asio::io_context &io,
                                                           const client::endpoint &where, find_page find) {
  asio::ip::tcp::resolver resolver(io);
  error_code failed;
  const auto found = resolver.resolve(where.host, std::to_string(where.port), failed);
  if (failed || found.empty()) return failed_at(where, failed);
  const asio::ip::tcp::endpoint address = found.begin()->endpoint();
  if (!address.address().is_loopback())
    return fail(errc::unsupported,
                "cannot serve HTTP on " + where.host + ": only loopback is served; put a proxy before it");
  std::unique_ptr<http_listener> made(new http_listener(io, std::move(find)));
  (void)made->acceptor_.open(address.protocol(), failed);
  if (!failed) (void)made->acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed) (void)made->acceptor_.bind(address, failed);
  if (!failed) (void)made->acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) return failed_at(where, failed);
  made->address_ = made->acceptor_.local_endpoint(failed);
  made->accept_next();
  return made;
}

void http_listener::accept_next() {
  acceptor_.async_accept([this](const error_code &failed, asio::ip::tcp::socket peer) {
    if (failed == asio::error::operation_aborted) return;
    // Beyond the limit a connection is closed at once: monitoring comes again, clients of the store come first.
    if (!failed && *open_count_ < connections_max)
      std::make_shared<http_connection>(std::move(peer), find_, open_count_)->start();
    if (!failed) return accept_next();
    // Out of descriptors or memory: those who wait in the backlog wait.
    retry_.expires_after(std::chrono::milliseconds(500));
    retry_.async_wait([this](const error_code &cancelled) {
      if (!cancelled) accept_next();
    });
  });
}

}  // namespace csnap::server
