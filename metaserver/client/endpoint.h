// SPDX-License-Identifier: BSD-3-Clause
//
// Where a server listens or is reached: "unix:PATH", "tcp:HOST:PORT", "tcp:[V6]:PORT". ("tls:" is known and
// refused: it is not offered yet.) Several, comma separated, are tried in turn for the master.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace csnap::client {

struct endpoint {
  enum class kind : std::uint8_t { unix_socket, tcp } type = kind::unix_socket;
  std::string path;  // unix
  std::string host;  // tcp
  std::uint16_t port{};
  std::string text() const;  // as typed
  friend bool operator==(const endpoint &, const endpoint &) = default;
};

// Where to listen may have port 0: the kernel chooses one.
enum class port_zero : std::uint8_t { refused, allowed };
result<endpoint> parse_endpoint(std::string_view text, port_zero zero = port_zero::refused);
result<std::vector<endpoint>> parse_endpoints(std::string_view comma_separated);
// TCP is plain text: it is offered on loopback only, until TLS comes.
bool is_loopback(const endpoint &e);
// "Not the master, try there": TCP carries no proof of who said it, so it may lead to this host, or to another
// port of a host that was named to us, and nowhere else.
bool may_follow(const endpoint &hint, const std::vector<endpoint> &named);

}  // namespace csnap::client
