// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/client_runtime.h"

#include "fake_server.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace csnap;
using namespace csnap::client;
using namespace std::chrono_literals;

namespace {

std::optional<wire::message> answers_status(const wire::envelope &e) {
  if (std::holds_alternative<wire::status>(e.body)) return wire::report{"{}"};
  return std::nullopt;
}
runtime_options options_for(const fake_server &server) {
  runtime_options o;
  o.servers = {server.where()};
  o.machine = describe_this_process();
  return o;
}
bool soon(const std::function<bool()> &is_true) {
  for (int i = 0; i < 2000; ++i) {
    if (is_true()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}
std::size_t count(const fake_server &server, const std::string &name) {
  const auto seen = server.seen();
  return static_cast<std::size_t>(std::count(seen.begin(), seen.end(), name));
}

}  // namespace

TEST_CASE("runtime: connects, calls, and says goodbye") {
  fake_server server(answers_status);
  client_runtime runtime(options_for(server));
  const auto got = runtime.call(wire::status{}, 20s);
  REQUIRE(got);
  REQUIRE(std::get<wire::report>(*got).json == "{}");
  runtime.stop(true);
  REQUIRE(count(server, "goodbye") == 1);
}

TEST_CASE("runtime: a failed answer becomes its error") {
  fake_server server([](const wire::envelope &e) -> std::optional<wire::message> {
    if (std::holds_alternative<wire::list>(e.body))
      return wire::failed{errc::not_found, "no such volume", {}};
    return std::nullopt;
  });
  client_runtime runtime(options_for(server));
  const auto got = runtime.call(wire::list{}, 20s);
  REQUIRE(got.error().code == errc::not_found);
  REQUIRE(got.error().text == "no such volume");
}

TEST_CASE("runtime: a request that a lost connection left unanswered is sent again") {
  std::atomic<int> asked = 0;
  fake_server *self = nullptr;
  fake_server server([&](const wire::envelope &e) -> std::optional<wire::message> {
    if (!std::holds_alternative<wire::status>(e.body)) return std::nullopt;
    if (++asked > 1) return wire::report{"{}"};
    self->drop_connection();
    return std::nullopt;
  });
  self = &server;
  client_runtime runtime(options_for(server));
  REQUIRE(runtime.call(wire::status{}, 20s));
  REQUIRE(asked == 2);
  REQUIRE(count(server, "hello") == 2);
}

TEST_CASE("runtime: waits end when their time is over or the owner says so") {
  fake_server server([](const wire::envelope &) { return std::nullopt; });
  std::atomic<bool> interrupted = false;
  auto o = options_for(server);
  o.interrupted = [&] { return interrupted.load(); };
  client_runtime runtime(std::move(o));
  REQUIRE(runtime.call(wire::status{}, 50ms).error().code == errc::timed_out);
  std::thread soon_after([&] {
    std::this_thread::sleep_for(50ms);
    interrupted = true;
  });
  REQUIRE(runtime.call(wire::status{}, 0ms).error().code == errc::shutting_down);
  soon_after.join();
}

TEST_CASE("runtime: stopping ends the waits of other threads") {
  fake_server server([](const wire::envelope &) { return std::nullopt; });
  client_runtime runtime(options_for(server));
  std::optional<errc> ended;
  std::thread caller([&] { ended = runtime.call(wire::status{}, 0ms).error().code; });
  REQUIRE(soon([&] { return count(server, "status") == 1; }));
  runtime.stop(false);
  caller.join();
  REQUIRE(ended == errc::shutting_down);
}

TEST_CASE("runtime: goes to the next endpoint, and follows a hint at once") {
  fake_server master(answers_status);
  fake_server standby([&](const wire::envelope &) -> std::optional<wire::message> {
    return wire::failed{errc::not_master, "not the master", master.where().text()};
  });
  runtime_options o = options_for(standby);
  o.servers.insert(o.servers.begin(), *parse_endpoint("unix:/nonexistent/socket"));
  const auto servers = o.servers;
  client_runtime runtime(std::move(o));
  REQUIRE(runtime.call(wire::status{}, 20s));
  runtime.stop(false);  // the fake serves one client at a time
  REQUIRE(call_once(servers, wire::status{}, 20s));
}

TEST_CASE("runtime: a freeze reaches the owner, and its answer the server") {
  fake_server server([](const wire::envelope &e) -> std::optional<wire::message> {
    if (!std::holds_alternative<wire::open_volume>(e.body)) return std::nullopt;
    return wire::volume_opened{volume_id{1}, "/dev/x", 1 << 20, {}, {}, false};
  });
  auto o = options_for(server);
  client_runtime *self = nullptr;
  std::atomic<bool> is_ready = false;
  o.on_change = [&] {
    if (!is_ready) return;
    const auto drains = self->locked([](client_machine &m, boottime_ms) { return m.take_drains(); });
    for (const auto &d : drains) self->locked([&](client_machine &m, boottime_ms) { m.drained(d.barrier); });
  };
  client_runtime runtime(std::move(o));
  self = &runtime;
  is_ready = true;
  const ticket t = runtime.locked([](client_machine &m, boottime_ms) { return m.open_volume("v"); });
  REQUIRE(runtime.wait_until<answer>(20s, [t](client_machine &m, boottime_ms) { return m.take_answer(t); }));
  const auto begin = [](client_machine &m, boottime_ms now) {
    return m.begin_write(volume_id{1}, chunk_no{0}, 1, now).what;
  };
  REQUIRE(runtime.locked(begin) == admission::admitted);
  server.say(wire::freeze{barrier_id{5}, {volume_id{1}}});
  REQUIRE(
      soon([&] { return runtime.locked([](client_machine &m, boottime_ms) { return m.changes(); }) > 3; }));
  REQUIRE(count(server, "freeze_answer") == 0);
  runtime.locked([](client_machine &m, boottime_ms) { m.end_write(volume_id{1}); });
  REQUIRE(soon([&] { return count(server, "freeze_answer") == 1; }));
  server.say(wire::thaw{barrier_id{5}, {{volume_id{1}, {}, false}}});
  REQUIRE(runtime.wait_until<bool>(20s, [&](client_machine &m, boottime_ms now) -> std::optional<bool> {
    return begin(m, now) == admission::admitted ? std::optional(true) : std::nullopt;
  }));
  runtime.stop(false);
}

TEST_CASE("runtime: many threads call at once") {
  fake_server server(answers_status);
  client_runtime runtime(options_for(server));
  std::atomic<int> good = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i)
    callers.emplace_back([&] {
      for (int n = 0; n < 25; ++n)
        if (runtime.call(wire::status{}, 20s)) ++good;
    });
  for (auto &c : callers) c.join();
  REQUIRE(good == 200);
}

TEST_CASE("runtime: call_once gives up in time and says why") {
  const auto got = call_once({*parse_endpoint("unix:/nonexistent/socket")}, wire::status{}, 100ms);
  REQUIRE(got.error().code == errc::timed_out);
  REQUIRE(got.error().text.find("/nonexistent/socket") != std::string::npos);
}

TEST_CASE("runtime: a process describes itself") {
  const auto o = describe_this_process();
  REQUIRE(o.boot != unique_id{});
  REQUIRE(o.pid == static_cast<std::uint32_t>(getpid()));
  REQUIRE(o.process_start > 0);
  REQUIRE(o.secret != random_unique_id());
  REQUIRE_FALSE(o.node.empty());
}
