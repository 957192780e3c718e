// SPDX-License-Identifier: BSD-3-Clause
//
// One peer. It turns bytes into messages and messages into bytes, and bounds what a peer can make us hold or
// wait for: a deadline for the hello and for each frame, a frame's length looked at before its buffer is
// made, a bounded queue of answers. What is wrong with a peer ends its connection and nothing else.
//
// Single owner: the io_context's thread. Handlers keep the object alive; its connection_owner outlives it.
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/wire/frame.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace csnap::server {

class connection;

class connection_owner {
 public:
  // A whole message. False: not now; the connection keeps it and reads nothing more until resume().
  virtual bool received(connection &from, const wire::envelope &what) = 0;
  // Called once, from the io_context, never from within another call. `fault` is empty when the peer just
  // left.
  virtual void closed(connection &who, const std::string &fault) = 0;

 protected:
  ~connection_owner() = default;
};

struct connection_limits {
  std::chrono::milliseconds handshake_deadline{wire::handshake_deadline_ms};
  std::chrono::milliseconds frame_deadline{wire::frame_deadline_ms};
  std::size_t unsent_bytes_max = 4u << 20;
};

class connection : public std::enable_shared_from_this<connection> {
 public:
  using socket = boost::asio::generic::stream_protocol::socket;
  connection(core::connection_id id, socket peer, const connection_limits &limits, connection_owner &owner);

  void start();
  void send(const wire::envelope &what);
  void close(const std::string &fault);
  void close_when_sent();
  // The message that was refused is offered again, then reading goes on.
  void resume();

  core::connection_id id() const { return id_; }
  bool is_open() const { return state_ != state::closed; }

 private:
  enum class state { open, draining, closed };

  void read_more();
  void take_in(std::size_t count);
  void work_off_input();
  // The next whole frame is decoded into held_. False: there is none yet, or the connection is closed.
  bool decode_next();
  void make_space(std::size_t frame_bytes);
  void write_more();
  void set_deadline(std::chrono::milliseconds delay, const char *missed);
  void lift_deadline();
  void update_frame_deadline();

  const core::connection_id id_;
  socket socket_;
  const connection_limits limits_;
  connection_owner &owner_;
  boost::asio::steady_timer deadline_;
  bool deadline_set_ = false;

  state state_ = state::open;
  bool welcomed_ = false;
  std::optional<wire::envelope> held_;  // decoded, not accepted by the owner yet

  std::vector<std::byte> input_;  // [input_begin_, input_end_) is received and not decoded
  std::size_t input_begin_ = 0, input_end_ = 0;

  std::deque<std::vector<std::byte>> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::size_t writing_ = 0;  // so many frames at the front are being written
};

}  // namespace csnap::server
