// SPDX-License-Identifier: BSD-3-Clause
//
// One connection of the agent's protocol, of either side. Single owner: the thread that runs its io_context.
// Handlers that Asio still holds keep the object alive; after close() none of them calls back.
#pragma once

#include "metaserver/wire/agent_frame.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace csnap::client {

class agent_stream : public std::enable_shared_from_this<agent_stream> {
 public:
  using socket = boost::asio::local::stream_protocol::socket;
  struct events {
    std::function<void(const wire::agent::message &)> received;
    std::function<void(const error &)> closed;  // once, and nothing after it; not after close()
  };
  // A peer that does not read: more than this is not kept for it.
  static constexpr std::size_t unsent_bytes_max = 256u << 10;

  agent_stream(boost::asio::io_context &io, events e) : socket_(io), deadline_(io), events_(std::move(e)) {}
  agent_stream(socket peer, events e)
      : socket_(std::move(peer)), deadline_(socket_.get_executor()), events_(std::move(e)) {}

  // Errors of the connection come as closed(). What is sent before it stands goes out then.
  void connect(const std::string &path);
  void start();  // of a socket that is connected
  // The next message must have come whole within this time.
  void expect_message(std::chrono::milliseconds within);
  void send(const wire::agent::message &what);
  void close();
  bool is_open() const { return !closed_; }
  socket &peer() { return socket_; }

 private:
  void read();
  result<> take_frames();
  void write();
  void fail_with(error why);

  socket socket_;
  boost::asio::steady_timer deadline_;
  events events_;
  bool closed_ = false, connected_ = false, writing_ = false;
  std::array<std::byte, 4096> chunk_;
  std::vector<std::byte> input_;  // at most a frame and a chunk
  std::deque<std::vector<std::byte>> output_;
  std::size_t unsent_bytes_ = 0;
};

}  // namespace csnap::client
