// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/endpoint.h"

#include <algorithm>
#include <charconv>

namespace csnap::client {

namespace {

// sun_path holds 108 bytes with its terminator.
constexpr std::size_t socket_path_max = 107;
constexpr std::size_t host_max = 255;

error bad_endpoint(std::string_view text, const char *why) {
  return fail(errc::invalid, "bad endpoint '" + std::string(text.substr(0, 300)) + "': " + why);
}

result<endpoint> parse_tcp(std::string_view text, std::string_view rest, port_zero zero) {
  endpoint e;
  e.type = endpoint::kind::tcp;
  std::size_t colon = std::string_view::npos;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_endpoint(text, "']' is missing");
    e.host = rest.substr(1, close - 1);
    colon = close + 1;
    if (colon >= rest.size() || rest[colon] != ':') return bad_endpoint(text, "expected tcp:[ADDRESS]:PORT");
  } else {
    colon = rest.find(':');
    if (colon == std::string_view::npos) return bad_endpoint(text, "expected tcp:HOST:PORT");
    e.host = rest.substr(0, colon);
  }
  if (e.host.empty() || e.host.size() > host_max)
    return bad_endpoint(text, "the host is missing or too long");
  const std::string_view digits = rest.substr(colon + 1);
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), e.port);
  const bool is_forbidden_zero = e.port == 0 && zero == port_zero::refused;
  if (failed != std::errc{} || end != digits.data() + digits.size() || is_forbidden_zero)
    return bad_endpoint(text, "the port must be a number from 1 to 65535");
  return e;
}

}  // namespace

std::string endpoint::text() const {
  if (type == kind::unix_socket) return "unix:" + path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return "tcp:" + (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<endpoint> parse_endpoint(std::string_view text, port_zero zero) {
  if (text.find('\0') != std::string_view::npos) return bad_endpoint(text, "it holds a zero byte");
  if (text.starts_with("unix:")) {
    endpoint e;
    e.path = text.substr(5);
    if (e.path.empty()) return bad_endpoint(text, "the path is missing");
    if (e.path.size() > socket_path_max)
      return bad_endpoint(text, "the path is longer than a socket's may be");
    return e;
  }
  if (text.starts_with("tcp:")) return parse_tcp(text, text.substr(4), zero);
  if (text.starts_with("tls:"))
    return fail(errc::unsupported, "tls endpoints are not offered yet: use unix:PATH, or tcp on loopback");
  return bad_endpoint(text, "expected unix:PATH or tcp:HOST:PORT");
}

result<std::vector<endpoint>> parse_endpoints(std::string_view list) {
  std::vector<endpoint> out;
  for (;;) {
    const std::size_t comma = list.find(',');
    auto one = parse_endpoint(list.substr(0, comma));
    if (!one) return one.error();
    out.push_back(std::move(*one));
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

bool is_loopback(const endpoint &e) {
  if (e.type == endpoint::kind::unix_socket || e.host == "localhost" || e.host == "::1") return true;
  // 127.0.0.0/8, as a number only: a name such as "127.evil.example" may be anywhere.
  return e.host.starts_with("127.") && e.host.find_first_not_of("0123456789.") == std::string::npos;
}

bool may_follow(const endpoint &hint, const std::vector<endpoint> &named) {
  if (is_loopback(hint)) return true;
  return std::any_of(named.begin(), named.end(), [&](const endpoint &each) {
    return each.type == endpoint::kind::tcp && each.host == hint.host;
  });
}

}  // namespace csnap::client
