// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/node_proof.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

namespace csnap::server {
namespace {

core::session_status session_of(std::uint64_t id, const std::string &node, bool connected, bool expired) {
  core::session_status s;
  s.id = session_id{id};
  s.node = node;
  s.connected = connected;
  s.expired = expired;
  return s;
}

struct fixture {
  boost::asio::io_context io;
  std::vector<core::session_status> sessions;
  std::vector<std::uint64_t> dead;
  std::string directory = (std::filesystem::temp_directory_path() / "csnap-fence-XXXXXX").string();

  fixture() { REQUIRE(::mkdtemp(directory.data()) != nullptr); }
  ~fixture() { std::filesystem::remove_all(directory); }

  node_proof make(const std::string &command, std::int64_t unsafe_after_ms = 0,
                  std::chrono::milliseconds limit = std::chrono::minutes(1)) {
    return {io, {command, unsafe_after_ms, limit}, "self", [this](const std::vector<session_id> &gone) {
              for (const session_id id : gone) dead.push_back(id.value);
            }};
  }
  void look(node_proof &proof, std::int64_t now_ms) {
    proof.look(
        sessions, [this] { return sessions; }, now_ms);
    io.restart();
    io.run_for(std::chrono::seconds(10));  // returns when no command is running
  }
  // What the commands were called with.
  std::string calls() const {
    std::ifstream in(directory + "/calls");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string recording(const std::string &then) const {
    return "f() { echo \"$1\" >>" + directory + "/calls; " + then + "; }; f";
  }
};

}  // namespace

TEST_CASE("node-proof: a silent node is fenced by name, and its sessions are dead when that succeeded") {
  fixture f;
  auto proof = f.make(f.recording("true"));
  f.sessions = {session_of(1, "n1", false, true), session_of(2, "n2", true, false)};
  f.look(proof, 1000);
  CHECK(f.calls() == "n1\n");
  CHECK(f.dead == std::vector<std::uint64_t>{1});
}

TEST_CASE("node-proof: nothing is given away when the command failed, and it is tried again later") {
  fixture f;
  auto proof = f.make(f.recording("false"));
  f.sessions = {session_of(1, "n1", false, true)};
  f.look(proof, 1000);
  f.look(proof, 1000 + fence_command::pause_after_failure_ms - 1);
  CHECK(f.calls() == "n1\n");
  f.look(proof, 1000 + fence_command::pause_after_failure_ms);
  CHECK(f.calls() == "n1\nn1\n");
  CHECK(f.dead.empty());
}

TEST_CASE("node-proof: a command that hangs is killed with all its processes, and proves nothing") {
  fixture f;
  auto proof = f.make(f.recording("(sleep 60; touch " + f.directory + "/late) & wait"), 0,
                      std::chrono::milliseconds(300));
  f.sessions = {session_of(1, "n1", false, true)};
  const auto begin = std::chrono::steady_clock::now();
  f.look(proof, 1000);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(9));
  CHECK(f.dead.empty());
  f.look(proof, 1000 + fence_command::pause_after_failure_ms);
  CHECK(f.calls() == "n1\nn1\n");
  CHECK(f.dead.empty());
}

TEST_CASE("node-proof: a command that hangs for one node does not keep another waiting") {
  fixture f;
  auto proof = f.make(f.recording("[ \"$1\" != n1 ] || sleep 60"), 0, std::chrono::seconds(2));
  f.sessions = {session_of(1, "n1", false, true), session_of(2, "n2", false, true)};
  f.look(proof, 1000);
  CHECK(f.dead == std::vector<std::uint64_t>{2});
}

TEST_CASE("node-proof: who is not fenced") {
  fixture f;
  auto proof = f.make(f.recording("true"));
  SECTION("a node with another client that answers") {
    f.sessions = {session_of(1, "n1", false, true), session_of(2, "n1", true, false)};
  }
  SECTION("a node with another client that has lost its connection for a moment") {
    f.sessions = {session_of(1, "n1", false, true), session_of(2, "n1", false, false)};
  }
  SECTION("a node whose lease still runs") { f.sessions = {session_of(1, "n1", false, false)}; }
  SECTION("this very node") { f.sessions = {session_of(1, "self", false, true)}; }
  f.look(proof, 1000);
  CHECK(f.calls().empty());
  CHECK(f.dead.empty());
}

TEST_CASE("node-proof: a session that was opened while the command ran is not dead") {
  fixture f;
  auto proof = f.make("sleep 0.3; true");
  f.sessions = {session_of(1, "n1", false, true), session_of(2, "n1", false, true)};
  proof.look(
      f.sessions, [&f] { return f.sessions; }, 1000);
  f.sessions = {session_of(2, "n1", true, false),
                session_of(3, "n1", false, true)};  // 1 has ended, 2 came back
  f.io.run_for(std::chrono::seconds(10));
  CHECK(f.dead.empty());
}

TEST_CASE("node-proof: an odd name of a node is one argument and no command") {
  fixture f;
  auto proof = f.make(f.recording("true"));
  f.sessions = {session_of(1, "n1; touch " + f.directory + "/oops", false, true)};
  f.look(proof, 1000);
  CHECK(f.calls() == "n1; touch " + f.directory + "/oops\n");
  CHECK_FALSE(std::filesystem::exists(f.directory + "/oops"));
}

TEST_CASE("node-proof: an administrator's word") {
  fixture f;
  auto proof = f.make("");
  f.sessions = {session_of(1, "n1", false, true), session_of(2, "n2", true, false),
                session_of(3, "n3", false, false), session_of(4, "n1", true, false)};
  CHECK(proof.confirm("n2", f.sessions).error().code == errc::not_found);
  CHECK(proof.confirm("n3", f.sessions).error().code == errc::busy);
  CHECK(proof.confirm("n4", f.sessions).error().code == errc::not_found);
  CHECK(f.dead.empty());
  REQUIRE(proof.confirm("n1", f.sessions));
  CHECK(f.dead == std::vector<std::uint64_t>{1});
  CHECK(proof.conditions(f.sessions).at(0).find("client of node n1 is gone") != std::string::npos);
  CHECK(proof.conditions(f.sessions).at(0).find("csnap fence-confirm n1") != std::string::npos);
}

TEST_CASE("node-proof: time alone proves nothing, unless the site wants it so, and then status says it") {
  fixture f;
  f.sessions = {session_of(1, "n1", false, true)};
  auto safe = f.make("");
  for (std::int64_t now = 0; now < 10'000'000; now += 1'000'000) f.look(safe, now);
  CHECK(f.dead.empty());
  auto unsafe = f.make("", 5000);
  f.look(unsafe, 1000);
  f.look(unsafe, 5999);
  CHECK(f.dead.empty());
  f.look(unsafe, 6000);
  CHECK(f.dead == std::vector<std::uint64_t>{1});
  CHECK(unsafe.conditions({}).at(0).find("UNSAFE") == 0);
}

}  // namespace csnap::server
