// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/link.h"

#include "metaserver/wire/frame.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <chrono>

namespace csnap::client {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
constexpr std::chrono::seconds connect_deadline{2};
constexpr std::size_t gather_max = 64;  // frames in one write
}  // namespace

link::link(asio::io_context &io, events e)
    : resolver_(io), deadline_(io), socket_(io), events_(std::move(e)) {}

void link::open(const endpoint &where) {
  name_ = where.text();
  deadline_.expires_after(connect_deadline);
  deadline_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec) self->fail_with(fail(errc::timed_out, "cannot connect to " + self->name_ + ": no answer"));
  });
  if (where.type == endpoint::kind::unix_socket) {
    connect({generic::endpoint(asio::local::stream_protocol::endpoint(where.path))}, 0);
    return;
  }
  is_tcp_ = true;
  resolver_.async_resolve(
      where.host, std::to_string(where.port), [self = shared_from_this()](error_code ec, auto found) {
        if (self->closed_) return;
        if (ec) return self->fail_with(fail(errc::io, "cannot find " + self->name_ + ": " + ec.message()));
        std::vector<generic::endpoint> candidates;
        for (const auto &entry : found) candidates.emplace_back(entry.endpoint());
        self->connect(std::move(candidates), 0);
      });
}

void link::connect(std::vector<generic::endpoint> candidates, std::size_t at) {
  if (at >= candidates.size()) return fail_with(fail(errc::io, "cannot find " + name_ + ": no address"));
  error_code ignored;
  (void)socket_.close(ignored);  // a second candidate needs a socket of its own family
  const generic::endpoint target = candidates[at];
  socket_.async_connect(
      target, [self = shared_from_this(), candidates = std::move(candidates), at](error_code ec) mutable {
        if (self->closed_) return;
        if (!ec) return self->connected();
        if (at + 1 < candidates.size()) return self->connect(std::move(candidates), at + 1);
        self->fail_with(fail(errc::io, "cannot connect to " + self->name_ + ": " + ec.message()));
      });
}

void link::connected() {
  (void)deadline_.cancel();
  error_code ignored;
  if (is_tcp_) (void)socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  read();
  events_.opened();
}

void link::read() {
  socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](error_code ec, std::size_t got) {
    if (self->closed_) return;
    if (ec)
      return self->fail_with(fail(errc::io, "lost the connection to " + self->name_ + ": " + ec.message()));
    self->input_.insert(self->input_.end(), self->chunk_.begin(),
                        self->chunk_.begin() + static_cast<std::ptrdiff_t>(got));
    if (const auto r = self->take_frames(); !r) return self->fail_with(r.error());
    if (self->closed_) return;
    self->events_.batch_ended();
    if (!self->closed_) self->read();
  });
}

// Everything that is complete. A header is judged before its payload is waited for, so input_ stays small.
result<> link::take_frames() {
  const std::span<const std::byte> all(input_);
  std::size_t used = 0;
  while (all.size() - used >= wire::frame_header_bytes) {
    const auto size = wire::frame_size(all.subspan(used).first<wire::frame_header_bytes>());
    if (!size) return size.error();
    if (all.size() - used < *size) break;
    const auto message = wire::decode_frame(all.subspan(used, *size));
    if (!message) return message.error();
    used += *size;
    events_.received(*message);
    if (closed_) return {};
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  return {};
}

void link::send(std::vector<std::vector<std::byte>> frames) {
  if (closed_) return;
  std::move(frames.begin(), frames.end(), std::back_inserter(output_));
  if (!writing_ && !output_.empty()) write();
}

void link::write() {
  writing_ = true;
  const std::size_t count = std::min(output_.size(), gather_max);
  std::vector<asio::const_buffer> buffers;
  for (std::size_t i = 0; i < count; ++i) buffers.push_back(asio::buffer(output_[i]));
  asio::async_write(socket_, buffers, [self = shared_from_this(), count](error_code ec, std::size_t) {
    if (self->closed_) return;
    if (ec)
      return self->fail_with(fail(errc::io, "lost the connection to " + self->name_ + ": " + ec.message()));
    self->output_.erase(self->output_.begin(), self->output_.begin() + static_cast<std::ptrdiff_t>(count));
    self->writing_ = false;
    if (!self->output_.empty()) self->write();
  });
}

void link::fail_with(const error &why) {
  if (closed_) return;
  close();
  events_.closed(why);
}

void link::close() {
  closed_ = true;
  error_code ignored;
  (void)deadline_.cancel();
  resolver_.cancel();
  (void)socket_.close(ignored);
}

}  // namespace csnap::client
