// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/service/config_file.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

using namespace csnap;
using namespace csnap::service;

namespace {

constexpr const char *file = "/etc/csnap/main.conf";

std::string fault_of(const std::string &text) {
  const auto read = parse_store_config(file, text);
  return read ? std::string() : read.error().text;
}

}  // namespace

TEST_CASE("config_file: keys and values, with the file's name as the store's") {
  const auto read =
      parse_store_config(file,
                         "# a comment\n\n  store=/dev/vg/store \r\n"
                         "listen = unix:/run/a\nlisten = tcp:[::1]:0\nfence = /x/fence --how = hard # so\n"
                         "insecure = no\ndevice.disk-1 = nbd://h/e\nagent = unix:/run/agent");
  REQUIRE(read);
  CHECK(read->name == "main");
  CHECK(read->value_of("store") == "/dev/vg/store");
  CHECK(read->values_of("listen") == std::vector<std::string>{"unix:/run/a", "tcp:[::1]:0"});
  CHECK(read->value_of("fence") == "/x/fence --how = hard # so");
  CHECK(read->value_of("device.disk-1") == "nbd://h/e");
  CHECK(read->value_of("http").empty());
  CHECK(read->metadata_device() == "/dev/vg/store");
  CHECK(parse_store_config(file, "store = /a\nmetadata = /b")->metadata_device() == "/b");
}

TEST_CASE("config_file: a wrong line is told with file, line, and what is expected") {
  const std::pair<const char *, const char *> wrong[] = {
      {"store /dev/a", "key = value, not 'store /dev/a'"},
      {"= x", "one of the keys of csnap.conf(5), not ''"},
      {"lisen = unix:/a", "one of the keys of csnap.conf(5), not 'lisen'"},
      {"config = other", "one of the keys"},
      {"device. = /dev/a", "one of the keys"},
      {"device.a..b = /dev/a", "one of the keys"},
      {"metadata = dev/a", "metadata = /PATH or nbd://"},
      {"metadata =", "metadata = /PATH"},
      {"listen = /run/a", "listen = unix:/PATH or tcp:HOST:PORT, not '/run/a'"},
      {"listen = unix:run/a", "listen = unix:/PATH"},
      {"listen = tcp:host", "listen = unix:/PATH or tcp:HOST:PORT"},
      {"server = unix:/a,tcp:b:0", "server = unix:/PATH or tcp:HOST:PORT, several"},
      {"agent = tcp:127.0.0.1:7", "agent = unix:/PATH"},
      {"election = raft", "election = file or pacemaker or corosync, not 'raft'"},
      {"insecure = 1", "insecure = yes or no"},
      {"node = -1", "node = N"},
      {"node = 4294967296", "node = N"},
      {"cache = 1K", "cache = SIZE, of 1M at least"},
      {"timeout = 5s", "timeout = SECONDS, a number, not '5s'"},
      {"unsafe-dead-after = 1048577", "unsafe-dead-after = SECONDS"},
      {"http = 9180", "http = HOST:PORT"},
      {"log-level = debug", "log-level = error or warning or info"},
      {"parallel = yes", "parallel = on or off or auto"},
      {"control = run", "control = /PATH"},
      {"store = /dev/b", "store once"},
      {"\x1b[2J = \x07", "not '?[2J'"}};
  for (const auto &[line, expected] : wrong) {
    INFO(line);
    const std::string fault = fault_of("store = /dev/a\n\n" + std::string(line) + "\nhttp = wrong too");
    CHECK(fault.starts_with(std::string(file) + ":3: expected "));
    CHECK(fault.find(expected) != std::string::npos);
  }
  CHECK(fault_of("store = /a\nfence = " + std::string(5000, 'x')).find(":2: expected a line of 4096") !=
        std::string::npos);
}

TEST_CASE("config_file: what a whole file needs") {
  CHECK(fault_of("").find("main.conf: expected a line store = DEVICE") != std::string::npos);
  CHECK_FALSE(parse_store_config("/etc/csnap/a b.conf", "store = /a"));
  CHECK_FALSE(parse_store_config("/etc/csnap/.conf", "store = /a"));
}

TEST_CASE("config_file: names are of /etc/csnap, paths are paths, directories are all their stores") {
  CHECK(config_path("main") == "/etc/csnap/main.conf");
  CHECK(config_path("./main") == "./main");
  char place[] = "/tmp/csnap-config-XXXXXX";
  REQUIRE(::mkdtemp(place) != nullptr);
  const std::string directory = place;
  CHECK(read_store_configs(directory).error().text.find("NAME.conf") != std::string::npos);
  std::ofstream(directory + "/b.conf") << "store = /b\n";
  std::ofstream(directory + "/a.conf") << "store = /a\n";
  std::ofstream(directory + "/a.conf.dpkg-old") << "nonsense\n";
  const auto all = read_store_configs(directory);
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  CHECK((*all)[0].name == "a");
  CHECK((*all)[1].value_of("store") == "/b");
  CHECK(read_store_config(directory + "/b.conf")->name == "b");
  CHECK(read_store_config(directory + "/c.conf").error().code == errc::not_found);
  CHECK(read_store_config(directory).error().code == errc::invalid);
  std::ofstream(directory + "/large.conf") << std::string(70000, '\n');
  CHECK(read_store_config(directory + "/large.conf").error().text.find("64 KiB at most") !=
        std::string::npos);
  std::filesystem::remove_all(directory);
}
