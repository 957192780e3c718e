// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/agent_stream.h"

#include <boost/asio/write.hpp>

#include <utility>

namespace csnap::client {

namespace asio = boost::asio;
using boost::system::error_code;

void agent_stream::connect(const std::string &path) {
  socket_.async_connect(asio::local::stream_protocol::endpoint(path), [self = shared_from_this(),
                                                                       path](const error_code &failed) {
    if (self->closed_) return;
    if (!failed) return self->start();
    self->fail_with(fail(errc::io, "cannot connect to the agent at " + path + ": " + failed.message()));
  });
}

void agent_stream::start() {
  connected_ = true;
  read();
  if (!output_.empty()) write();
}

void agent_stream::expect_message(std::chrono::milliseconds within) {
  deadline_.expires_after(within);
  deadline_.async_wait([self = shared_from_this()](const error_code &cancelled) {
    // A handler of an earlier deadline may be queued already.
    if (cancelled || self->deadline_.expiry() > std::chrono::steady_clock::now()) return;
    self->fail_with(fail(errc::timed_out, "no message in time"));
  });
}

void agent_stream::read() {
  socket_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](const error_code &failed, std::size_t got) {
                            if (self->closed_) return;
                            if (failed)
                              return self->fail_with(fail(errc::io, "connection lost: " + failed.message()));
                            self->input_.insert(self->input_.end(), self->chunk_.begin(),
                                                self->chunk_.begin() + static_cast<std::ptrdiff_t>(got));
                            if (const auto taken = self->take_frames(); !taken)
                              return self->fail_with(taken.error());
                            if (!self->closed_) self->read();
                          });
}

// Everything that is complete. A header is judged before its payload is waited for, so input_ stays small.
result<> agent_stream::take_frames() {
  const std::span<const std::byte> all(input_);
  std::size_t used = 0;
  while (all.size() - used >= wire::agent::frame_header_bytes) {
    const auto size = wire::agent::frame_size(all.subspan(used).first<wire::agent::frame_header_bytes>());
    if (!size) return size.error();
    if (all.size() - used < *size) break;
    const auto message = wire::agent::decode_frame(all.subspan(used, *size));
    if (!message) return message.error();
    used += *size;
    (void)deadline_.cancel();
    events_.received(*message);
    if (closed_) return {};
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  return {};
}

void agent_stream::send(const wire::agent::message &what) {
  if (closed_) return;
  output_.push_back(wire::agent::encode_frame(what));
  unsent_bytes_ += output_.back().size();
  if (unsent_bytes_ > unsent_bytes_max)
    return fail_with(fail(errc::refused, "the peer does not read what it is sent"));
  if (connected_ && !writing_) write();
}

void agent_stream::write() {
  writing_ = true;
  asio::async_write(socket_, asio::buffer(output_.front()),
                    [self = shared_from_this()](const error_code &failed, std::size_t) {
                      if (self->closed_) return;
                      if (failed)
                        return self->fail_with(fail(errc::io, "connection lost: " + failed.message()));
                      self->unsent_bytes_ -= self->output_.front().size();
                      self->output_.pop_front();
                      self->writing_ = false;
                      if (!self->output_.empty()) self->write();
                    });
}

void agent_stream::fail_with(error why) {
  if (closed_) return;
  // The callback may drop what owns it.
  const auto closed = events_.closed;
  close();
  if (closed) closed(why);
}

void agent_stream::close() {
  closed_ = true;
  error_code ignored;
  (void)deadline_.cancel();
  (void)socket_.close(ignored);
}

}  // namespace csnap::client
