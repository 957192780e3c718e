// SPDX-License-Identifier: BSD-3-Clause
//
// The parameters, the list of exports, and the errno table.
#include "nbdkit-plugin/export_list.h"
#include "nbdkit-plugin/nbd_errno.h"
#include "nbdkit-plugin/plugin_config.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

using namespace csnap;
using namespace csnap::plugin;

TEST_CASE("plugin_config: good parameters") {
  plugin_config c;
  REQUIRE(c.set("server", "unix:run/server.sock,tcp:127.0.0.1:10810").has_value());
  REQUIRE(c.set("store", "store.img").has_value());
  REQUIRE(c.set("device.vol-1", "/dev/sdx").has_value());
  REQUIRE(c.set("device.vol-2", "nbd+unix:///x?socket=/s").has_value());
  REQUIRE(c.set("timeout", "7").has_value());
  REQUIRE(c.set("parallel", "auto").has_value());
  REQUIRE(c.complete().has_value());
  const std::string here = std::filesystem::current_path().string();
  REQUIRE(c.servers.size() == 2);
  CHECK(c.servers[0].path == here + "/run/server.sock");
  CHECK(c.store == here + "/store.img");
  CHECK(c.devices.at("vol-1") == "/dev/sdx");
  CHECK(c.devices.at("vol-2") == "nbd+unix:///x?socket=/s");
  CHECK(c.timeout == std::chrono::seconds(7));
  CHECK(c.parallel == parallel_mode::automatic);
}

TEST_CASE("plugin_config: bad parameters are refused") {
  const std::pair<const char *, const char *> bad[] = {
      {"server", ""},    {"server", "foo:bar"},      {"server", "unix:"}, {"store", ""},
      {"device.", "x"},  {"device.a..b", "x"},       {"device.a/b", "x"}, {"timeout", "-1"},
      {"timeout", "1x"}, {"timeout", "99999999999"}, {"parallel", "yes"}, {"agent", "tcp:127.0.0.1:1"},
      {"agent", "/x"},   {"instance", "a/b"},        {"volumes", "x"},    {"volume", "a/b"}};
  for (const auto &[key, value] : bad) {
    INFO(key << "=" << value);
    plugin_config c;
    CHECK_FALSE(c.set(key, value).has_value());
  }
}

TEST_CASE("plugin_config: a configuration is a name, a name and a volume, or a path") {
  plugin_config c, of_volume, path;
  REQUIRE(c.set("config", "main").has_value());
  CHECK(c.config == "main");
  CHECK(c.volume.empty());
  REQUIRE(of_volume.set("config", "main:disk-1").has_value());
  CHECK(of_volume.config == "main");
  CHECK(of_volume.volume == "disk-1");
  CHECK_FALSE(of_volume.set("volume", "disk-2").has_value());
  REQUIRE(path.set("config", "./a:b.conf").has_value());
  CHECK(path.config == (std::filesystem::current_path() / "./a:b.conf").string());
  for (const char *bad : {":vol", "main:", "main:a..b", "a b", ""}) {
    INFO(bad);
    CHECK_FALSE(plugin_config().set("config", bad).has_value());
  }
}

TEST_CASE("plugin_config: parameters win over the configuration, whose agent wins over its servers") {
  char place[] = "/tmp/csnap-plugin-XXXXXX";
  REQUIRE(::mkdtemp(place) != nullptr);
  const std::string file = std::string(place) + "/main.conf";
  const auto completed = [&](const std::string &lines,
                             std::vector<std::pair<const char *, const char *>> given) {
    std::ofstream(file) << "store = /store\ndevice.a = /a\ndevice.b = /b\ntimeout = 7\nhttp = h:1\n" << lines;
    plugin_config c;
    for (const auto &[key, value] : given) REQUIRE(c.set(key, value).has_value());
    REQUIRE(c.set("config", file).has_value());
    INFO(lines);
    REQUIRE(c.complete().has_value());
    return c;
  };
  const auto by_listen = completed("listen = unix:/s\nlisten = tcp:127.0.0.1:7\n", {{"device.a", "/mine"}});
  REQUIRE(by_listen.servers.size() == 2);
  CHECK(by_listen.store == "/store");
  CHECK(by_listen.devices.at("a") == "/mine");
  CHECK(by_listen.devices.at("b") == "/b");
  CHECK(by_listen.timeout == std::chrono::seconds(7));
  CHECK(completed("listen = unix:/s\nserver = unix:/t\n", {}).servers.front().path == "/t");
  const auto by_agent = completed("server = unix:/t\nagent = unix:/agent\n", {});
  CHECK(by_agent.servers.empty());
  CHECK(by_agent.agent == "/agent");
  const auto told =
      completed("agent = unix:/agent\n", {{"server", "unix:/u"}, {"timeout", "0"}, {"store", "/x"}});
  CHECK(told.agent.empty());
  CHECK(told.store == "/x");
  CHECK(told.timeout == std::chrono::seconds(0));
  for (const char *nowhere : {"", "listen = tcp:127.0.0.1:0\n"}) {
    std::ofstream(file) << "store = /store\n" << nowhere;
    plugin_config c;
    REQUIRE(c.set("config", file).has_value());
    CHECK(c.complete().error().text.starts_with(file + ": "));
  }
  std::filesystem::remove_all(place);
}

TEST_CASE("plugin_config: nothing is given twice, and what is required is asked for") {
  plugin_config c;
  CHECK_FALSE(c.complete().has_value());
  REQUIRE(c.set("server", "unix:/s").has_value());
  CHECK(c.complete().error().text.find("store=<DEVICE>") != std::string::npos);
  REQUIRE(c.set("store", "/a").has_value());
  REQUIRE(c.set("device.v", "/b").has_value());
  CHECK_FALSE(c.set("server", "unix:/s").has_value());
  CHECK_FALSE(c.set("store", "/a").has_value());
  CHECK_FALSE(c.set("device.v", "/c").has_value());
}

TEST_CASE("plugin_config: the master is found by a list or by an agent, not by both") {
  plugin_config c;
  REQUIRE(c.set("store", "/a"));
  CHECK(c.complete().error().text.find("agent=") != std::string::npos);
  REQUIRE(c.set("agent", "unix:run/agent.sock"));
  CHECK(c.agent == std::filesystem::current_path().string() + "/run/agent.sock");
  REQUIRE(c.set("instance", "main"));
  CHECK(c.complete());
  CHECK_FALSE(c.set("agent", "unix:/b"));
  REQUIRE(c.set("server", "unix:/s"));
  CHECK_FALSE(c.complete());
  plugin_config name_only;
  REQUIRE(name_only.set("store", "/a"));
  REQUIRE(name_only.set("server", "unix:/s"));
  REQUIRE(name_only.set("instance", "main"));
  CHECK_FALSE(name_only.complete());
}

TEST_CASE("plugin_config: each line of the help begins with a key, for the shell's completion") {
  std::string help = config_help;
  REQUIRE(help.back() == '\n');
  for (const char *key : {"server=", "agent=", "instance=", "store=", "timeout=", "parallel="})
    CHECK(("\n" + help).find(std::string("\n") + key) != std::string::npos);
  for (std::size_t at = 0; at < help.size(); at = help.find('\n', at) + 1)
    CHECK(help.find('\n', at) - at < 90);
}

TEST_CASE("export_list: origins and live snapshots with descriptions, over several pages") {
  const wire::volume_entry a{volume_id{1}, "a", "/a", 64u << 20, 3, {}},
      b{volume_id{2}, "b", "/b", 512, 1, {}};
  const auto snapshot = [](std::uint32_t volume, std::uint64_t number, const char *name, std::uint8_t state) {
    return wire::snapshot_entry{
        volume_id{volume}, snapshot_number{number}, name, 1795341600000u, 0, 0, state};
  };
  std::deque<wire::list_reply> pages = {{{a, b}, {snapshot(1, 5, "mon", 1), snapshot(1, 6, "old", 2)}, true},
                                        {{a, b}, {snapshot(2, 7, "tue", 1)}, false}};
  const auto list = list_exports([&](const wire::list &what) -> result<wire::list_reply> {
    CHECK(what.after_number.value == (pages.size() == 2 ? 0u : 6u));
    const auto page = pages.front();
    pages.pop_front();
    return page;
  });
  REQUIRE(list.has_value());
  std::vector<std::string> lines;
  for (const auto &e : list->exports) lines.push_back(e.name + ": " + e.description);
  CHECK(lines == std::vector<std::string>{"a: origin volume, 64 MiB, 3 snapshots",
                                          "b: origin volume, 512 B, 1 snapshot",
                                          "a@mon: snapshot 5 of a, 2026-11-22 10:00:00Z",
                                          "b@tue: snapshot 7 of b, 2026-11-22 10:00:00Z"});
}

TEST_CASE("export_list: is cut at what nbdkit takes, and a list that does not go on is an error") {
  bool stuck = false;
  std::uint64_t number = 0;
  const auto ask = [&](const wire::list &) -> result<wire::list_reply> {
    wire::list_reply page{{{volume_id{1}, "a", "/a", 1, 0, {}}}, {}, true};
    for (int i = 0; i < 1000; ++i)
      page.snapshots.push_back({volume_id{1}, snapshot_number{stuck ? 1 : ++number}, "s", 0, 0, 0, 1});
    return page;
  };
  const auto list = list_exports(ask);
  REQUIRE(list.has_value());
  CHECK(list->exports.size() == exports_max);
  CHECK(list->is_cut);
  stuck = true;
  CHECK(list_exports(ask).error().code == errc::corrupt);
}

TEST_CASE("nbd_errno: only what NBD knows") {
  for (unsigned short code = 1; code <= 14; ++code) {
    const int e = nbd_errno(static_cast<errc>(code));
    const std::initializer_list<int> known = {EPERM, EIO, ENOMEM, ENOSPC, ESHUTDOWN, EINVAL};
    CHECK(std::count(known.begin(), known.end(), e) == 1);
  }
  CHECK(nbd_errno(errc::no_space) == ENOSPC);
  CHECK(nbd_errno(errc::gone) == EIO);
  CHECK(nbd_errno(errc::shutting_down) == ESHUTDOWN);
}
