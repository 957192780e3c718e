// SPDX-License-Identifier: BSD-3-Clause
#include "agent/command_line.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace csnap;
using namespace csnap::agent;

TEST_CASE("command_line: parts with one name make one instance") {
  command_line line;
  line.socket = "/run/agent.sock";
  line.stores = {"main=/dev/a", "other=nbd+unix:///x?socket=/s"};
  line.servers = {"main=unix:/s,tcp:10.0.0.1:7000", "main=tcp:h:1", "third=unix:/t"};
  line.instances = {"main=--store /dev/a  --listen tcp:10.0.0.1:0"};
  const auto all = interpret(line);
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  const auto &main = all->front();
  CHECK(main.name == "main");
  CHECK(main.device == "/dev/a");
  REQUIRE(main.servers.size() == 3);
  CHECK(main.servers[1].text() == "tcp:10.0.0.1:7000");
  CHECK(main.command ==
        std::vector<std::string>{"csnap-metaserver", "--store", "/dev/a", "--listen", "tcp:10.0.0.1:0"});
  CHECK(main.lock_file == "/run/agent.sock.main.lock");
  CHECK((*all)[1].device == "nbd+unix:///x?socket=/s");
  CHECK((*all)[1].command.empty());
  CHECK((*all)[2].device.empty());
}

TEST_CASE("command_line: what is wrong is refused") {
  const auto refused = [](command_line line) { return !interpret(line).has_value(); };
  CHECK(refused({}));
  for (const char *bad : {"main", "=x", "a/b=x", "a..b=x", "main=", ""}) {
    command_line line;
    line.stores = {bad};
    INFO(bad);
    CHECK(refused(line));
  }
  command_line twice;
  twice.stores = {"a=/x", "a=/y"};
  CHECK(refused(twice));
  command_line server;
  server.servers = {"a=tcp:host:0"};
  CHECK(refused(server));
  command_line many;
  for (int i = 0; i < 33; ++i) many.stores.push_back("i" + std::to_string(i) + "=/x");
  CHECK(refused(many));
}

TEST_CASE("command_line: a configuration is an instance, and what is typed wins") {
  char place[] = "/tmp/csnap-agent-XXXXXX";
  REQUIRE(::mkdtemp(place) != nullptr);
  const std::string directory = place, file = directory + "/main.conf";
  std::ofstream(file) << "store = /dev/a\nmetadata = /dev/m\nserver = unix:/s\nagent = unix:/run/agent\n";
  std::ofstream(directory + "/other.conf") << "store = /dev/b\n";
  command_line line;
  line.configs = {directory};
  REQUIRE(add_configurations(line));
  CHECK(line.socket == "unix:/run/agent");
  const auto all = interpret(line);
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  CHECK(all->front().name == "main");
  CHECK(all->front().device == "/dev/m");
  CHECK(all->front().servers.size() == 1);
  CHECK(all->front().command == std::vector<std::string>{"csnap-metaserver", "--config", file});
  CHECK((*all)[1].device == "/dev/b");
  command_line typed;
  typed.configs = {file};
  typed.socket = "/typed";
  typed.stores = {"main=/dev/typed"};
  REQUIRE(add_configurations(typed));
  CHECK(typed.socket == "/typed");
  CHECK(interpret(typed)->front().device == "/dev/typed");
  std::ofstream(directory + "/third.conf") << "store = /dev/c\nagent = unix:/run/another\n";
  command_line two_agents;
  two_agents.configs = {directory};
  CHECK_FALSE(add_configurations(two_agents));
  std::filesystem::remove_all(place);
}
