// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/process_watch.h"

#include "metaserver/client/process_end.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace csnap;
using namespace csnap::server;

namespace {

// Of one kernel, and of the namespaces of it that `in_it` stands for.
unique_id space_of(std::uint8_t kernel, std::uint8_t in_it = 1) {
  unique_id id;
  id.bytes[0] = std::byte{kernel};
  id.bytes[8] = std::byte{in_it};
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
  own_place own;
  process_watch watch{io, own, [this](session_id s) { dead.push_back(s); }};
  explicit rig(bool one_host = true, unique_id space = space_of(1)) : own{space, "here", one_host} {}

  void run_for(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));
  }
  void watch_process(std::uint64_t session, const unique_id &space, pid_t pid, std::uint64_t start,
                     const std::string &node = "here") {
    watch.watch(
        core::watch_process{session_id{session}, space, static_cast<std::uint32_t>(pid), start, node});
  }
};

}  // namespace

TEST_CASE("process watch: the end of the process is reported, and not before it") {
  rig r;
  child c;
  r.watch_process(7, space_of(1), c.pid, client::start_of_process(static_cast<std::uint32_t>(c.pid)).value());
  r.run_for(50);
  CHECK(r.dead.empty());
  c.end();
  r.run_for(500);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process of the same pid and another start is not the one: that one is dead") {
  rig r;
  child c;
  r.watch_process(7, space_of(1), c.pid,
                  client::start_of_process(static_cast<std::uint32_t>(c.pid)).value() - 1);
  CHECK(r.dead.empty());  // never from within the call
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process that is gone already is reported") {
  rig r;
  child c;
  const pid_t pid = c.pid;
  c.end();
  r.watch_process(7, space_of(1), pid, 1);
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

TEST_CASE("process watch: a process of an earlier boot of the only host is dead") {
  rig r;
  r.watch_process(7, space_of(2), ::getpid(), 1);
  CHECK(r.dead.empty());
  r.run_for(50);
  CHECK(r.dead == std::vector{session_id{7}});
}

// Somebody's process of that pid has ended; not the one that is asked for.
static bool is_proof(bool one_host, const unique_id &own_space, const unique_id &space,
                     const std::string &node = "here") {
  rig r(one_host, own_space);
  child c;
  const pid_t pid = c.pid;
  c.end();
  r.watch_process(7, space, pid, 1, node);
  r.run_for(50);
  return !r.dead.empty();
}
TEST_CASE("process watch: what is not seen is no proof") {
  CHECK(is_proof(true, space_of(1), space_of(1)));
  CHECK(is_proof(true, space_of(1), space_of(2)));
  SECTION("where there are several hosts, another kernel may be that of another host") {
    CHECK_FALSE(is_proof(false, space_of(1), space_of(2)));
  }
  SECTION("another pid namespace of this kernel") {
    CHECK_FALSE(is_proof(true, space_of(1), space_of(1, 2)));
    CHECK_FALSE(is_proof(false, space_of(1), space_of(1, 2)));
  }
  SECTION("a process that another host opened its session on, when the store was a cluster's") {
    CHECK_FALSE(is_proof(true, space_of(1), space_of(2), "there"));
  }
  SECTION("a server that sees no processes") {
    CHECK_FALSE(is_proof(true, unique_id{}, unique_id{}));
    CHECK_FALSE(is_proof(true, unique_id{}, space_of(2)));
  }
}

TEST_CASE("process watch: a session that is not watched any more is not reported") {
  rig r;
  child c;
  r.watch_process(7, space_of(1), c.pid, client::start_of_process(static_cast<std::uint32_t>(c.pid)).value());
  r.watch.unwatch(session_id{7});
  c.end();
  r.run_for(100);
  CHECK(r.dead.empty());
}

// What is left of a claim that I/O ends with the process.
static bool is_believed(const wire::hello &said, const unique_id &own_space, bool one_host) {
  wire::hello checked = said;
  trust_only_visible_process(checked, {own_space, "here", one_host});
  return checked.io_ends_with_process;
}
TEST_CASE("process watch: a hello is believed about a process that is seen, or that an agent may see") {
  const auto me = static_cast<std::uint32_t>(::getpid());
  wire::hello said;
  said.role = wire::client_role::node;
  said.boot = space_of(1);
  said.pid = me;
  said.process_start = client::start_of_process(me).value();
  said.io_ends_with_process = true;
  for (const bool one_host : {true, false}) {
    CHECK(is_believed(said, space_of(1), one_host));
    wire::hello unseen = said;
    ++unseen.process_start;
    CHECK_FALSE(is_believed(unseen, space_of(1), one_host));
    wire::hello unknown = said;
    unknown.boot = {};
    CHECK_FALSE(is_believed(unknown, space_of(1), one_host));
    CHECK_FALSE(is_believed(unknown, unique_id{}, one_host));
    wire::hello without_start = said;  // who looks later finds another one: that is no proof
    without_start.process_start = 0;
    CHECK_FALSE(is_believed(without_start, space_of(1), one_host));
    CHECK_FALSE(is_believed(without_start, space_of(2), one_host));
    wire::hello remote = said;
    remote.io_ends_with_process = false;
    CHECK_FALSE(is_believed(remote, space_of(1), one_host));
    CHECK_FALSE(is_believed(remote, space_of(2), one_host));
  }
  for (const auto &elsewhere : {space_of(2), space_of(1, 2)}) {
    CHECK(is_believed(said, elsewhere, false));
    CHECK_FALSE(is_believed(said, elsewhere, true));
  }
}
