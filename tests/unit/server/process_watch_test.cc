// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/process_watch.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <optional>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace csnap;
using namespace csnap::server;

namespace {

unique_id boot_of(std::uint8_t first) {
  unique_id id;
  id.bytes[0] = std::byte{first};
  return id;
}

// A child that sleeps until it is killed.
struct child {
  pid_t pid = ::fork();
  child() {
    if (pid == 0)
      for (;;) ::pause();
  }
  ~child() { end(); }
  void end() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    pid = -1;
  }
};

struct rig {
  boost::asio::io_context io;
  std::vector<session_id> dead;
  bool one_host = true;
  process_watch watch{io, boot_of(1), one_host, [this](session_id s) { dead.push_back(s); }};
  explicit rig(bool is_one_host = true) : one_host(is_one_host) {}

  void run_for(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));
  }
  void watch_process(std::uint64_t session, const unique_id &boot, pid_t pid, std::uint64_t start) {
    watch.watch(core::watch_process{session_id{session}, boot, static_cast<std::uint32_t>(pid), start});
  }
};

}  // namespace

TEST_CASE("process watch: the end of the process is reported, and not before it") {
  rig r;
  child c;
  r.watch_process(7, boot_of(1), c.pid, start_of_process(static_cast<std::uint32_t>(c.pid)).value());
  r.run_for(50);
  CHECK(r.dead.empty());
  c.end();
  r.run_for(500);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process of the same pid and another start is not the one: that one is dead") {
  rig r;
  child c;
  r.watch_process(7, boot_of(1), c.pid, start_of_process(static_cast<std::uint32_t>(c.pid)).value() - 1);
  CHECK(r.dead.empty());  // never from within the call
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process that is gone already is reported") {
  rig r;
  child c;
  const pid_t pid = c.pid;
  c.end();
  r.watch_process(7, boot_of(1), pid, 1);
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process of an earlier boot of the only host is dead") {
  rig r;
  r.watch_process(7, boot_of(2), ::getpid(), 1);
  CHECK(r.dead.empty());
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: where there are several hosts, another boot may be another host: no proof") {
  rig r(false);
  child c;
  const pid_t pid = c.pid;
  c.end();
  r.watch_process(7, boot_of(2), pid, 1);
  r.run_for(50);
  CHECK(r.dead.empty());
}

TEST_CASE("process watch: a session that is not watched any more is not reported") {
  rig r;
  child c;
  r.watch_process(7, boot_of(1), c.pid, start_of_process(static_cast<std::uint32_t>(c.pid)).value());
  r.watch.unwatch(session_id{7});
  c.end();
  r.run_for(100);
  CHECK(r.dead.empty());
}

TEST_CASE("process watch: a hello is believed only about a process that is seen") {
  const auto me = static_cast<std::uint32_t>(::getpid());
  wire::hello said;
  said.role = wire::client_role::node;
  said.boot = boot_of(1);
  said.pid = me;
  said.process_start = start_of_process(me).value();
  said.io_ends_with_process = true;

  wire::hello seen = said;
  trust_only_visible_process(seen, boot_of(1));
  CHECK(seen.io_ends_with_process);

  wire::hello unseen = said;
  ++unseen.process_start;
  trust_only_visible_process(unseen, boot_of(1));
  CHECK_FALSE(unseen.io_ends_with_process);

  wire::hello elsewhere = said;
  trust_only_visible_process(elsewhere, boot_of(2));
  CHECK_FALSE(elsewhere.io_ends_with_process);
}
