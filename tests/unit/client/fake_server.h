// SPDX-License-Identifier: BSD-3-Clause
//
// A server for one client at a time, on a Unix socket in a directory of its own: welcomes, renews, and
// answers other requests as the test's function says (nothing: no answer). Blocking, one thread.
#pragma once

#include "metaserver/base/check.h"
#include "metaserver/client/endpoint.h"
#include "metaserver/wire/frame.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace csnap::client {

class fake_server {
 public:
  using behaviour = std::function<std::optional<wire::message>(const wire::envelope &)>;

  explicit fake_server(behaviour b) : behaviour_(std::move(b)) {
    std::string pattern = "/tmp/csnap-fake-XXXXXX";
    check(mkdtemp(pattern.data()) != nullptr, "no directory for the test");
    directory_ = pattern;
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (void)path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    check(bind(listener_, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0, "bind");
    check(listen(listener_, 8) == 0, "listen");
    thread_ = std::thread([this] { serve(); });
  }
  ~fake_server() {
    stopping_ = true;
    thread_.join();
    (void)close(listener_);
    (void)unlink(path().c_str());
    (void)rmdir(directory_.c_str());
  }
  fake_server(const fake_server &) = delete;

  std::string path() const { return directory_ + "/socket"; }
  endpoint where() const { return *parse_endpoint("unix:" + path()); }
  void drop_connection() { drop_ = true; }
  void say(wire::message m) {
    const std::lock_guard guard(mutex_);
    to_say_.push_back(std::move(m));
  }
  std::vector<std::string> seen() const {
    const std::lock_guard guard(mutex_);
    return seen_;
  }

 private:
  void serve() {
    while (!stopping_) {
      pollfd p{listener_, POLLIN, 0};
      if (poll(&p, 1, 10) <= 0) continue;
      const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) continue;
      drop_ = false;
      converse(peer);
      (void)close(peer);
    }
  }
  void converse(int peer) {
    std::vector<std::byte> input;
    while (!stopping_ && !drop_) {
      {
        const std::lock_guard guard(mutex_);
        for (auto &m : to_say_) send(peer, 0, m);
        to_say_.clear();
      }
      pollfd p{peer, POLLIN, 0};
      if (poll(&p, 1, 10) <= 0) continue;
      std::array<std::byte, 4096> some;
      const ssize_t got = ::read(peer, some.data(), some.size());
      if (got <= 0) return;
      input.insert(input.end(), some.begin(), some.begin() + got);
      if (!work_off(peer, input)) return;
    }
  }
  bool work_off(int peer, std::vector<std::byte> &input) {
    while (input.size() >= wire::frame_header_bytes) {
      const auto size = wire::frame_size(std::span(input).first<wire::frame_header_bytes>());
      if (!size || input.size() < *size) return size.has_value();
      const auto e = wire::decode_frame(std::span(input).first(*size));
      if (!e) return false;
      input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(*size));
      {
        const std::lock_guard guard(mutex_);
        seen_.push_back(wire::message_name(e->body));
      }
      auto reply = behaviour_(*e);
      if (!reply && std::holds_alternative<wire::hello>(e->body))
        reply = wire::welcome{{}, 0, session_id{9}, 5000, 65536, 0, 1000};
      if (!reply && std::holds_alternative<wire::renew>(e->body)) reply = wire::renewed{5000};
      if (!reply && std::holds_alternative<wire::goodbye>(e->body)) reply = wire::done{};
      if (reply) send(peer, e->request, *reply);
    }
    return true;
  }
  static void send(int peer, std::uint64_t request, const wire::message &m) {
    const auto frame = wire::encode_frame({request, {1, 1}, m});
    // In two pieces: frames do not come in one.
    (void)::send(peer, frame.data(), 7, MSG_NOSIGNAL);
    (void)::send(peer, frame.data() + 7, frame.size() - 7, MSG_NOSIGNAL);
  }

  behaviour behaviour_;
  std::string directory_;
  int listener_ = -1;
  std::atomic<bool> stopping_ = false, drop_ = false;
  mutable std::mutex mutex_;
  std::vector<wire::message> to_say_;
  std::vector<std::string> seen_;
  std::thread thread_;
};

}  // namespace csnap::client
