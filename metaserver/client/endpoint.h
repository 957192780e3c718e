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

result<endpoint> parse_endpoint(std::string_view text);
result<std::vector<endpoint>> parse_endpoints(std::string_view comma_separated);
// TCP is plain text: it is offered on loopback only, until TLS comes.
bool is_loopback(const endpoint &e);

}  // namespace csnap::client
