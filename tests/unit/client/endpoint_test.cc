// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/endpoint.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::client;

TEST_CASE("endpoint: what is typed is understood and said again") {
  for (const char *text :
       {"unix:/run/csnap.sock", "tcp:localhost:80", "tcp:[::1]:7070", "tcp:10.0.0.1:65535"})
    REQUIRE(parse_endpoint(text)->text() == text);
  REQUIRE(parse_endpoints("unix:/a,tcp:h:1")->size() == 2);
}

TEST_CASE("endpoint: what is wrong is refused") {
  for (const char *text : {"", "unix:", "tcp:h", "tcp::1", "tcp:h:0", "tcp:h:65536", "tcp:h:1x", "tcp:[::1:1",
                           "tcp:[::1]1", "udp:h:1", "/run/socket"})
    REQUIRE(parse_endpoint(text).error().code == errc::invalid);
  REQUIRE_FALSE(parse_endpoint("unix:" + std::string(108, 'x')));
  REQUIRE_FALSE(parse_endpoints("unix:/a,"));
  REQUIRE(parse_endpoint("tls:h:1").error().code == errc::unsupported);
}

TEST_CASE("endpoint: loopback is told from names that look like it") {
  REQUIRE(is_loopback(*parse_endpoint("unix:/a")));
  REQUIRE(is_loopback(*parse_endpoint("tcp:127.0.0.2:1")));
  REQUIRE(is_loopback(*parse_endpoint("tcp:[::1]:1")));
  REQUIRE_FALSE(is_loopback(*parse_endpoint("tcp:127.example.org:1")));
  REQUIRE_FALSE(is_loopback(*parse_endpoint("tcp:10.0.0.1:1")));
}

TEST_CASE("endpoint: port 0 is a place to listen, and no place to connect to") {
  REQUIRE_FALSE(parse_endpoint("tcp:127.0.0.1:0"));
  const auto any = parse_endpoint("tcp:127.0.0.1:0", port_zero::allowed);
  REQUIRE(any);
  REQUIRE(any->port == 0);
  REQUIRE_FALSE(parse_endpoint("tcp:127.0.0.1:", port_zero::allowed));
}

TEST_CASE("endpoint: a hint leads to this host or to one that was named, not elsewhere") {
  const auto named = *parse_endpoints("unix:/a,tcp:10.0.0.1:7000");
  REQUIRE(may_follow(*parse_endpoint("tcp:127.0.0.1:1"), named));
  REQUIRE(may_follow(*parse_endpoint("unix:/b"), named));
  REQUIRE(may_follow(*parse_endpoint("tcp:10.0.0.1:1"), named));
  REQUIRE_FALSE(may_follow(*parse_endpoint("tcp:10.0.0.2:7000"), named));
}
