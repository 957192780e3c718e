// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <variant>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t input_bytes = 16u
                                    << 10;  // a usual buffer; a longer frame gets a longer one while it comes
constexpr std::size_t frames_per_write = 64;

}  // namespace

connection::connection(core::connection_id id, socket peer, const connection_limits &limits,
                       connection_owner &owner)
    : id_(id),
      socket_(std::move(peer)),
      limits_(limits),
      owner_(owner),
      deadline_(socket_.get_executor()),
      input_(input_bytes) {}

void connection::start() {
  set_deadline(limits_.handshake_deadline, "no hello in time");
  read_more();
}

void connection::set_deadline(std::chrono::milliseconds delay, const char *missed) {
  deadline_set_ = true;
  deadline_.expires_after(delay);
  deadline_.async_wait([self = shared_from_this(), missed](const error_code &cancelled) {
    // An expired handler may already be queued when the deadline is moved or lifted.
    if (cancelled || !self->deadline_set_ || self->deadline_.expiry() > std::chrono::steady_clock::now())
      return;
    self->close(missed);
  });
}

void connection::read_more() {
  const auto space = asio::buffer(input_.data() + input_end_, input_.size() - input_end_);
  socket_.async_read_some(space, [self = shared_from_this()](const error_code &failed, std::size_t count) {
    if (!self->is_open()) return;
    if (failed) self->close({});
    else self->take_in(count);
  });
}

void connection::take_in(std::size_t count) {
  if (state_ != state::open) return;  // draining: what the peer still says is of no interest
  input_end_ += count;
  work_off_input();
}

void connection::resume() {
  if (state_ != state::open || !held_) return;
  work_off_input();
}

void connection::work_off_input() {
  while (state_ == state::open && (held_ || decode_next())) {
    if (!owner_.received(*this, *held_)) return;  // resume() comes back here
    held_.reset();
  }
  if (state_ != state::open) return;
  update_frame_deadline();
  read_more();
}

bool connection::decode_next() {
  const std::span<const std::byte> input(input_.data() + input_begin_, input_end_ - input_begin_);
  if (input.size() < wire::frame_header_bytes) {
    make_space(wire::frame_header_bytes);
    return false;
  }
  const auto size = wire::frame_size(input.first<wire::frame_header_bytes>());
  if (!size) return close(size.error().text), false;
  if (input.size() < *size) {
    make_space(*size);
    return false;
  }
  auto decoded = wire::decode_frame(input.first(*size));
  if (!decoded) return close(decoded.error().text), false;
  held_ = std::move(*decoded);
  input_begin_ += *size;
  return true;
}

// Moves what is left to the front, and has room for one frame, but never keeps a long buffer for a short one.
void connection::make_space(std::size_t frame_bytes) {
  const std::size_t left = input_end_ - input_begin_;
  std::memmove(input_.data(), input_.data() + input_begin_, left);
  input_begin_ = 0;
  input_end_ = left;
  const std::size_t wanted = std::max({frame_bytes, input_bytes, left});
  if (input_.size() == wanted) return;
  input_.resize(wanted);
  input_.shrink_to_fit();
}

// Before the welcome the handshake's deadline stands, whatever is sent; after it only a begun frame has one.
void connection::update_frame_deadline() {
  if (!welcomed_) return;
  const bool frame_begun = input_end_ > input_begin_;
  if (frame_begun && !deadline_set_)
    set_deadline(limits_.frame_deadline, "a frame was not completed in time");
  if (!frame_begun && deadline_set_) lift_deadline();
}

void connection::lift_deadline() {
  deadline_set_ = false;
  deadline_.cancel();
}

void connection::send(const wire::envelope &what) {
  if (state_ != state::open) return;
  if (std::holds_alternative<wire::welcome>(what.body) && !welcomed_) {
    welcomed_ = true;
    lift_deadline();
  }
  unsent_.push_back(wire::encode_frame(what));
  unsent_bytes_ += unsent_.back().size();
  if (unsent_bytes_ > limits_.unsent_bytes_max) return close("the peer does not read what it is sent");
  if (writing_ == 0) write_more();
}

void connection::write_more() {
  writing_ = std::min(unsent_.size(), frames_per_write);
  std::vector<asio::const_buffer> frames;
  frames.reserve(writing_);
  for (std::size_t i = 0; i < writing_; ++i) frames.push_back(asio::buffer(unsent_[i]));
  asio::async_write(
      socket_, frames, [self = shared_from_this()](const error_code &failed, std::size_t count) {
        if (!self->is_open()) return;
        if (failed) return self->close({});
        self->unsent_bytes_ -= count;
        self->unsent_.erase(self->unsent_.begin(),
                            self->unsent_.begin() + static_cast<std::ptrdiff_t>(self->writing_));
        self->writing_ = 0;
        if (!self->unsent_.empty()) self->write_more();
        else if (self->state_ == state::draining) self->close({});
      });
}

void connection::close_when_sent() {
  if (state_ != state::open) return;
  if (unsent_.empty()) return close({});
  state_ = state::draining;
  set_deadline(limits_.frame_deadline, "the last answer was not read in time");
}

void connection::close(const std::string &fault) {
  if (state_ == state::closed) return;
  state_ = state::closed;
  lift_deadline();
  error_code ignored;
  socket_.shutdown(socket::shutdown_both, ignored);
  socket_.close(ignored);
  asio::post(socket_.get_executor(),
             [self = shared_from_this(), fault] { self->owner_.closed(*self, fault); });
}

}  // namespace csnap::server
