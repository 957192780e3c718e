// SPDX-License-Identifier: BSD-3-Clause
//
// One connection that carries frames. Single owner: the thread that runs its io_context. Handlers that Asio
// still holds keep the object alive; after close() none of them calls back.
#pragma once

#include "metaserver/client/endpoint.h"
#include "metaserver/wire/messages.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <deque>
#include <functional>
#include <memory>

namespace csnap::client {

// Of "not the master, try there": two servers may each believe that the other is the master.
inline constexpr int hints_in_a_row_max = 3;

class link : public std::enable_shared_from_this<link> {
 public:
  struct events {
    std::function<void()> opened;
    std::function<void(const wire::envelope &)> received;
    std::function<void()> batch_ended;          // after the messages that came together
    std::function<void(const error &)> closed;  // once, and nothing after it; not after close()
  };
  link(boost::asio::io_context &io, events e);

  void open(const endpoint &where);  // connects within 2 s
  void send(std::vector<std::vector<std::byte>> frames);
  void close();

 private:
  using generic = boost::asio::generic::stream_protocol;
  void connect(std::vector<generic::endpoint> candidates, std::size_t at);
  void connected();
  void read();
  result<> take_frames();
  void write();
  void fail_with(const error &why);

  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer deadline_;
  generic::socket socket_;
  events events_;
  bool closed_ = false, is_tcp_ = false, writing_ = false;
  std::string name_;
  std::array<std::byte, 64 << 10> chunk_;
  std::vector<std::byte> input_;  // at most a frame and a chunk
  // As much as the machine lets be unanswered: its requests, and answers to what the server asked.
  std::deque<std::vector<std::byte>> output_;
};

}  // namespace csnap::client
