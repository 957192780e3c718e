// SPDX-License-Identifier: BSD-3-Clause
//
// What a peer can do to the server, over a socket pair: the other end is a plain file descriptor.
#include "metaserver/server/connection.h"

#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

using namespace csnap;
using namespace csnap::server;
using std::chrono::milliseconds;

namespace {

struct recorder final : connection_owner {
  std::vector<wire::envelope> messages;
  std::vector<std::string> faults;
  bool accepts = true;
  bool received(connection &, const wire::envelope &what) override {
    if (accepts) messages.push_back(what);
    return accepts;
  }
  void closed(connection &, const std::string &fault) override { faults.push_back(fault); }
};

struct rig {
  explicit rig(connection_limits limits = {}) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    peer = ends[0];
    connection::socket socket(io);
    socket.assign(boost::asio::generic::stream_protocol(AF_UNIX, 0), ends[1]);
    under_test = std::make_shared<connection>(core::connection_id{1}, std::move(socket), limits, owner);
    under_test->start();
  }
  ~rig() { ::close(peer); }

  void write(std::span<const std::byte> bytes) const {
    REQUIRE(::write(peer, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  void run_for(milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(milliseconds(5));
    }
  }
  template <class Condition>
  bool run_until(Condition done) {
    for (int i = 0; i < 1000 && !done(); ++i) run_for(milliseconds(5));
    return done();
  }

  boost::asio::io_context io;
  recorder owner;
  int peer = -1;
  std::shared_ptr<connection> under_test;
};

wire::envelope make(wire::message body, std::uint64_t request = 1) {
  wire::envelope e;
  e.request = request;
  e.body = std::move(body);
  return e;
}

std::vector<std::byte> frame(wire::message body, std::uint64_t request = 1) {
  return wire::encode_frame(make(std::move(body), request));
}

}  // namespace

TEST_CASE("connection: messages arrive in order, however their bytes are cut") {
  rig r;
  std::vector<std::byte> all;
  wire::failed long_one;
  long_one.text = std::string(wire::error_text_max, 'x');
  for (std::uint64_t i = 1; i <= 40; ++i) {
    const auto one = frame(long_one, i);
    all.insert(all.end(), one.begin(), one.end());
  }
  for (std::size_t at = 0; at < all.size(); at += 777) {
    r.write(std::span(all).subspan(at, std::min<std::size_t>(777, all.size() - at)));
    r.run_for(milliseconds(1));
  }
  REQUIRE(r.run_until([&] { return r.owner.messages.size() == 40; }));
  for (std::uint64_t i = 0; i < 40; ++i) CHECK(r.owner.messages[i].request == i + 1);
}

TEST_CASE("connection: a frame longer than the buffer is taken whole") {
  rig r;
  wire::report big;
  big.json = std::string(200000, 'j');
  const auto bytes = frame(big);
  std::thread writer([&] { r.write(bytes); });
  CHECK(r.run_until([&] { return r.owner.messages.size() == 1; }));
  writer.join();
  CHECK(std::get<wire::report>(r.owner.messages.at(0).body).json == big.json);
}

TEST_CASE("connection: garbage closes it with a reason") {
  rig r;
  const std::vector<std::byte> garbage(100, std::byte{'G'});
  r.write(garbage);
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0) == "not a csnap frame (wrong magic)");
  CHECK(r.owner.messages.empty());
  char byte;
  CHECK(::read(r.peer, &byte, 1) <= 0);
}

TEST_CASE("connection: a frame with one bit changed is not delivered") {
  rig r;
  auto bytes = frame(wire::renew{});
  bytes[20] ^= std::byte{1};
  r.write(bytes);
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0) == "frame checksum is wrong");
  CHECK(r.owner.messages.empty());
}

TEST_CASE("connection: a peer that leaves is no fault") {
  rig r;
  REQUIRE(::shutdown(r.peer, SHUT_RDWR) == 0);
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0).empty());
}

TEST_CASE("connection: without a welcome it ends at the handshake's deadline, busy or not") {
  connection_limits limits;
  limits.handshake_deadline = milliseconds(100);
  rig r(limits);
  for (int i = 0; i < 6; ++i) {
    r.write(frame(wire::renew{}));
    r.run_for(milliseconds(10));
  }
  CHECK(r.owner.faults.empty());
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0) == "no hello in time");
}

TEST_CASE("connection: after the welcome only a begun frame has a deadline") {
  connection_limits limits;
  limits.handshake_deadline = milliseconds(60);
  limits.frame_deadline = milliseconds(100);
  rig r(limits);
  r.under_test->send(make(wire::welcome{}));
  r.run_for(milliseconds(200));
  REQUIRE(r.owner.faults.empty());
  const auto bytes = frame(wire::renew{});
  r.write(std::span(bytes).first(10));
  r.run_for(milliseconds(30));
  r.write(std::span(bytes).subspan(10));
  r.run_for(milliseconds(150));
  REQUIRE(r.owner.faults.empty());
  CHECK(r.owner.messages.size() == 1);
  r.write(std::span(bytes).first(bytes.size() - 1));
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0) == "a frame was not completed in time");
}

TEST_CASE("connection: a message that is refused is kept, nothing is read, and resume offers it again") {
  rig r;
  r.owner.accepts = false;
  for (std::uint64_t i = 1; i <= 3; ++i) r.write(frame(wire::renew{}, i));
  r.run_for(milliseconds(50));
  CHECK(r.owner.messages.empty());
  r.owner.accepts = true;
  r.under_test->resume();
  REQUIRE(r.run_until([&] { return r.owner.messages.size() == 3; }));
  for (std::uint64_t i = 0; i < 3; ++i) CHECK(r.owner.messages[i].request == i + 1);
}

TEST_CASE("connection: a peer that does not read is cut off") {
  connection_limits limits;
  limits.unsent_bytes_max = 1u << 20;
  rig r(limits);
  wire::report big;
  big.json = std::string(100000, 'j');
  for (int i = 0; i < 30 && r.under_test->is_open(); ++i) {
    r.under_test->send(make(big));
    r.run_for(milliseconds(1));
  }
  REQUIRE(r.run_until([&] { return !r.owner.faults.empty(); }));
  CHECK(r.owner.faults.at(0) == "the peer does not read what it is sent");
}

TEST_CASE("connection: what was sent before close_when_sent arrives, then the end") {
  rig r;
  wire::report big;
  big.json = std::string(200000, 'j');
  std::size_t expected = 0;
  for (int i = 0; i < 5; ++i) {
    r.under_test->send(make(big));
    expected += wire::frame_header_bytes + 4 + big.json.size();
  }
  r.under_test->close_when_sent();
  std::size_t total = 0;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t count; (count = ::read(r.peer, buffer, sizeof buffer)) > 0;)
      total += static_cast<std::size_t>(count);
  });
  CHECK(r.run_until([&] { return !r.owner.faults.empty(); }));
  reader.join();
  CHECK(total == expected);
}
