// SPDX-License-Identifier: BSD-3-Clause
//
// The handshake with a server that behaves, and with some that do not. Each is a thread behind a Unix socket.
#include "metaserver/attach/nbd_handshake.h"

#include <linux/nbd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace csnap;
using namespace csnap::attach;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t served_flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_CAN_MULTI_CONN;

std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}
const std::string greeting = "NBDMAGICIHAVEOPT" + big_endian(3, 2);
constexpr std::uint32_t ack = 1, server_name = 2, info = 3, error_unknown = 0x80000006,
                        error_unsupported = 0x80000001;

// One accepted connection; what fails, the client has gone.
class peer_socket {
 public:
  explicit peer_socket(int fd) : fd_(fd) {}
  bool send(const std::string &bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  std::string receive(std::size_t length) const {
    std::string out(length, '\0');
    return ::recv(fd_, out.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length) ? out : "";
  }
  bool reply(std::uint32_t option, std::uint32_t type, const std::string &data) const {
    return send(big_endian(0x3e889045565a9, 8) + big_endian(option, 4) + big_endian(type, 4) +
                big_endian(data.size(), 4) + data);
  }
  // What is there without waiting: "" nothing, "end" the client closed.
  std::string waiting() const {
    char byte = 0;
    const ssize_t n = ::recv(fd_, &byte, 1, MSG_DONTWAIT);
    return n == 0 ? "end" : n > 0 ? "bytes" : "";
  }
  void wait_for_end() const {
    while (!receive(1).empty()) {
    }
  }

 private:
  int fd_;
};

// Serves one connection with `behave`.
class peer {
 public:
  explicit peer(std::function<void(const peer_socket &)> behave) {
    char name[] = "/tmp/csnap-peer-XXXXXX";
    folder_ = ::mkdtemp(name);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::snprintf(at.sun_path, sizeof at.sun_path, "%s/s", folder_.c_str());
    listening_ = owned_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listening_.get(), reinterpret_cast<sockaddr *>(&at), sizeof at) == 0);
    REQUIRE(::listen(listening_.get(), 1) == 0);
    thread_ = std::thread([this, behave = std::move(behave)] {
      const owned_fd accepted(::accept(listening_.get(), nullptr, nullptr));
      behave(peer_socket(accepted.get()));
    });
  }
  ~peer() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  result<negotiated> take(const std::string &name, std::chrono::milliseconds patience = 5s,
                          int stop_fd = -1) const {
    return take_export({*server_uri(folder_ + "/s"), name}, patience, stop_fd);
  }

 private:
  std::string folder_;
  owned_fd listening_;
  std::thread thread_;
};

bool greet(const peer_socket &client) { return client.send(greeting) && !client.receive(4).empty(); }

// The next option: its number and data. 0: the client has gone.
std::pair<std::uint32_t, std::string> next_option(const peer_socket &client) {
  const std::string header = client.receive(16);
  if (header.empty()) return {0, ""};
  const auto number = [&](std::size_t at) {
    std::uint32_t out = 0;
    for (std::size_t i = at; i < at + 4; ++i) out = out << 8 | static_cast<unsigned char>(header[i]);
    return out;
  };
  const std::uint32_t length = number(12);
  return {number(8), length == 0 ? "" : client.receive(length)};
}

void serve_vol(const peer_socket &client) {
  if (!greet(client)) return;
  for (;;) {
    const auto [option, data] = next_option(client);
    if (option == 0) return;
    if (option == 3) {
      for (const std::string name : {"vol", "vol@a"})
        client.reply(3, server_name, big_endian(name.size(), 4) + name);
      client.reply(3, ack, "");
    } else if (option != 7) {
      client.reply(option, error_unsupported, "");
    } else if (data.substr(4, 3) != "vol") {
      client.reply(7, error_unknown, "");
    } else {
      client.reply(7, info, big_endian(0, 2) + big_endian(1 << 20, 8) + big_endian(served_flags, 2));
      client.reply(7, info, big_endian(2, 2) + "origin volume");
      client.reply(7, ack, "");
      return;
    }
  }
}

error refusal(const result<negotiated> &taken) {
  REQUIRE_FALSE(taken);
  const error why = taken.error();
  CHECK(std::none_of(why.text.begin(), why.text.end(), [](unsigned char c) { return c < ' '; }));
  CHECK(why.text.size() < 2000);
  return why;
}

}  // namespace

TEST_CASE("an export is taken, and its socket stays, without a word, until its new owner ends it") {
  std::string sent_to_server = "not looked at";  // Catch's checks are for one thread
  const peer server([&](const peer_socket &client) {
    serve_vol(client);
    std::this_thread::sleep_for(100ms);  // libnbd's own descriptor is closed by now
    sent_to_server = client.waiting();
    client.send("x");
    client.wait_for_end();
  });
  auto taken = server.take("vol");
  REQUIRE(taken);
  CHECK(taken->facts.size_bytes == 1 << 20);
  CHECK(taken->facts.flags == served_flags);
  CHECK(taken->facts.description == "origin volume");
  char byte = 0;
  CHECK(::recv(taken->socket.get(), &byte, 1, MSG_WAITALL) == 1);
  CHECK(sent_to_server.empty());
}

TEST_CASE("an export that is not there: those that are there are named") {
  const peer server(serve_vol);
  const error why = refusal(server.take("nothing"));
  CHECK(why.code == errc::not_found);
  CHECK(why.text.find("no export 'nothing'") != std::string::npos);
  CHECK(why.text.find("there are: vol, vol@a") != std::string::npos);
}

TEST_CASE("a server that closes at once, or in the middle, or speaks something else") {
  const std::string parts[] = {"",
                               "NBD",
                               greeting,
                               "HTTP/1.1 400 Bad Request\r\n\r\n",
                               "SSH-2.0-OpenSSH_9.2\r\n",
                               "NBDMAGIC" + std::string(16, '\xff')};
  for (const std::string &part : parts) {
    const peer server([&](const peer_socket &client) { client.send(part); });
    CHECK(refusal(server.take("vol")).code == errc::io);
  }
}

TEST_CASE("a server that says nothing more, at any point, costs no more than our patience") {
  for (std::size_t said = 0; said <= greeting.size(); said += 6) {
    const peer server([&](const peer_socket &client) {
      client.send(greeting.substr(0, said));
      client.wait_for_end();
    });
    CHECK(refusal(server.take("vol", 100ms)).code == errc::timed_out);
  }
  const peer mute_at_options([](const peer_socket &client) {
    greet(client);
    client.wait_for_end();
  });
  CHECK(refusal(mute_at_options.take("vol", 100ms)).code == errc::timed_out);
}

TEST_CASE("a server that promises more than it may is not believed") {
  const std::string lies[] = {
      big_endian(0x3e889045565a9, 8) + big_endian(7, 4) + big_endian(3, 4) +
          big_endian(0xffffffff, 4),                                                                // length
      big_endian(0x1122334455667788, 8) + big_endian(7, 4) + big_endian(3, 4) + big_endian(12, 4),  // magic
      big_endian(0x3e889045565a9, 8) + big_endian(99, 4) + big_endian(3, 4) + big_endian(12, 4),    // option
      big_endian(0x3e889045565a9, 8) + big_endian(7, 4) + big_endian(1, 4) + big_endian(0, 4)};     // no size
  for (const std::string &lie : lies) {
    const peer server([&](const peer_socket &client) {
      if (!greet(client)) return;
      (void)next_option(client);
      client.send(lie);
      client.wait_for_end();
    });
    (void)refusal(server.take("vol", 500ms));
  }
}

TEST_CASE("a size that no device can have is refused") {
  const peer server([](const peer_socket &client) {
    if (!greet(client)) return;
    (void)next_option(client);
    client.reply(7, info, big_endian(0, 2) + big_endian(~0ULL, 8) + big_endian(served_flags, 2));
    client.reply(7, ack, "");
    client.wait_for_end();
  });
  (void)refusal(server.take("vol", 500ms));
}

TEST_CASE("a list without an end costs no more than our patience, and little memory") {
  const peer server([](const peer_socket &client) {
    if (!greet(client)) return;
    (void)next_option(client);
    client.reply(7, error_unknown, "");
    (void)next_option(client);
    const std::string name(4000, 'n');
    while (client.reply(3, server_name, big_endian(name.size(), 4) + name)) std::this_thread::sleep_for(1ms);
  });
  const auto begin = std::chrono::steady_clock::now();
  const error why = refusal(server.take("vol", 300ms));
  CHECK(why.code == errc::not_found);
  CHECK(std::chrono::steady_clock::now() - begin < 3s);
}

TEST_CASE("what a server says is shown without its control characters") {
  const peer server([](const peer_socket &client) {
    if (!greet(client)) return;
    (void)next_option(client);
    client.reply(7, error_unknown, "\x1b[31m no\n such\tthing");
    (void)next_option(client);
    const std::string name = "v\x1b[2J\nx";
    client.reply(3, server_name, big_endian(name.size(), 4) + name);
    client.reply(3, ack, "");
    client.wait_for_end();
  });
  CHECK(refusal(server.take("vol")).code == errc::not_found);
}

TEST_CASE("who is asked to stop does not wait for a server") {
  const peer server([](const peer_socket &client) { client.wait_for_end(); });
  const owned_fd stop(::eventfd(1, EFD_CLOEXEC));
  CHECK(refusal(server.take("vol", 20s, stop.get())).code == errc::shutting_down);
}

TEST_CASE("no server: a line that names the place") {
  const auto taken = take_export({"nbd+unix:///?socket=/nowhere/nbd.sock", "vol"}, 1s, -1);
  CHECK(refusal(taken).text.find("/nowhere/nbd.sock") != std::string::npos);
}

TEST_CASE("places that people type") {
  CHECK(*server_uri("/run/csnap/nbd.sock") == "nbd+unix:///?socket=/run/csnap/nbd.sock");
  CHECK(*server_uri("nbd://10.0.0.1:10809") == "nbd://10.0.0.1:10809");
  CHECK(*server_uri("nbd+unix:///?socket=/x") == "nbd+unix:///?socket=/x");
  for (const char *wrong :
       {"", "nbd.sock", "tcp:host:1", "nbds://host", "nbds+unix:///?socket=/x", "http://host"})
    CHECK_FALSE(server_uri(wrong));
}
