// SPDX-License-Identifier: BSD-3-Clause
//
// A server_core on a real engine on a device in memory, and clients that send what a test tells them to. Time
// stands still unless moved; records become durable when the test says so.
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/store/offline.h"
#include "tests/support/memory_device.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace csnap::test {

// For `reserve`: no answer was lost, so each request is granted a new reservation.
inline constexpr reservation_id knows_all{UINT64_MAX};

inline constexpr std::uint32_t test_chunk_bytes = 4096;
inline constexpr std::uint64_t test_volume_chunks = 300;  // more than one segment
inline constexpr std::uint32_t test_lease_ms = 5000;      // with the margin of 1000: over after 6000
inline constexpr std::uint32_t test_lease_over_ms = 6000;

class test_server {
 public:
  explicit test_server(std::vector<std::string> planted = {}, std::size_t reap_batch = 4096,
                       std::uint64_t device_bytes = 20u << 20);

  // The server dies and another takes the store over. Only what was durable is left.
  void restart();
  core::connection_id connect() { return core::connection_id{++last_connection_}; }
  void deliver(core::connection_id from, wire::envelope what);
  void lose(core::connection_id who);
  void make_durable();
  void advance(std::int64_t ms);  // and ticks
  void tick();
  void died(session_id session);
  bool serves() const { return stopped.empty(); }
  memory_device &device() { return device_; }
  void enlarge(std::uint64_t bytes) { device_.enlarge(bytes); }
  std::vector<std::string> conditions() const { return core->status(now).conditions; }

  boottime_ms now{1000000};
  bool durable_at_once = true;
  std::unique_ptr<store::engine> engine;
  std::unique_ptr<core::server_core> core;
  std::map<core::connection_id, std::deque<wire::envelope>> inbox;
  std::map<core::connection_id, std::string> hung_up;
  std::vector<core::watch_process> watched;
  std::vector<error> stopped;
  std::vector<std::string> warnings;  // in the log

 private:
  void start();
  void collect();
  void checkpoint_if_due();

  memory_device device_;
  std::vector<std::string> planted_;
  std::size_t reap_batch_;
  std::uint64_t last_connection_ = 0, random_ = 0;
};

// One client process; the test decides what it says.
class test_client {
 public:
  test_client(test_server &server, std::uint32_t pid, wire::client_role role = wire::client_role::node);

  // A new connection, and a hello that resumes the session if there is one.
  std::uint64_t hello();
  void lose_connection() { server_.lose(connection); }
  std::uint64_t send(wire::message what);  // a request; its id
  void tell(wire::message what);           // no answer
  // The answer, if it has come; all others stay.
  std::optional<wire::message> answer(std::uint64_t request);
  // The oldest message from the server of that kind.
  template <class Message>
  std::optional<Message> pushed() {
    auto &in = server_.inbox[connection];
    for (auto at = in.begin(); at != in.end(); ++at) {
      if (at->request != 0 || !std::holds_alternative<Message>(at->body)) continue;
      auto out = std::get<Message>(at->body);
      in.erase(at);
      return out;
    }
    return {};
  }
  // Asks and takes the answer, which must be there and of that kind.
  template <class Answer>
  Answer ask(wire::message what) {
    return take<Answer>(send(std::move(what)));
  }
  template <class Answer>
  Answer take(std::uint64_t request) {
    auto got = answer(request);
    if (!got) throw std::runtime_error("no answer");
    const auto *failure = std::get_if<wire::failed>(&*got);
    if (failure && !std::is_same_v<Answer, wire::failed>)
      throw std::runtime_error("failed: " + failure->text);
    return std::get<Answer>(*got);
  }
  bool is_hung_up() const { return server_.hung_up.contains(connection); }

  core::connection_id connection;
  session_id session;
  wire::hello greeting;

 private:
  test_server &server_;
  std::uint64_t last_request_ = 0;
};

// ---- what tests ask for again and again ----
unique_id request_id();  // a new one each time
wire::create create_of(const std::string &volume, const std::string &snapshot);
wire::remove remove_of(const std::string &volume, const std::string &snapshot);
wire::commit commit_of(const wire::volume_opened &volume, const wire::reserved &from, std::uint64_t chunk,
                       std::uint64_t nth = 0);

}  // namespace csnap::test
