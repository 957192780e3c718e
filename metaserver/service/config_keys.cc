// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/service/config_keys.h"

#include "metaserver/base/names.h"
#include "metaserver/client/endpoint.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace csnap::service {

namespace {

using client::endpoint;

constexpr std::string_view device_prefix = "device.";
constexpr std::size_t cache_bytes_min = 1u << 20;
constexpr std::uint32_t seconds_max = 1u << 20;

bool is_path(std::string_view value) { return value.starts_with('/'); }
bool is_device(std::string_view value) {
  return is_path(value) || value.starts_with("nbd://") || value.starts_with("nbd+unix://");
}
bool is_text(std::string_view value) { return !value.empty(); }
bool is_yes_or_no(std::string_view value) { return value == "yes" || value == "no"; }

template <std::uint32_t max>
bool is_number(std::string_view value) {
  std::uint32_t number = 0;
  const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), number);
  return wrong == std::errc{} && end == value.data() + value.size() && number <= max;
}

bool is_cache_size(std::string_view value) {
  const auto size = parse_size(value);
  return size && *size >= cache_bytes_min;
}

// A service has no directory of its own that a path could be relative to.
bool is_whole(const endpoint &where) {
  return where.type != endpoint::kind::unix_socket || is_path(where.path);
}
bool is_listen(std::string_view value) {
  const auto where = client::parse_endpoint(value, client::port_zero::allowed);
  return where && is_whole(*where);
}
bool is_servers(std::string_view value) {
  const auto all = client::parse_endpoints(value);
  return all && std::all_of(all->begin(), all->end(), is_whole);
}
bool is_agent(std::string_view value) {
  const auto where = client::parse_endpoint(value);
  return where && where->type == endpoint::kind::unix_socket && is_whole(*where);
}
bool is_host_and_port(std::string_view value) {
  return client::parse_endpoint("tcp:" + std::string(value), client::port_zero::allowed).has_value();
}

bool is_engine(std::string_view value) {
  return value == "file" || value == "pacemaker" || value == "corosync";
}
bool is_log_level(std::string_view value) {
  return value == "error" || value == "warning" || value == "info";
}
bool is_parallel(std::string_view value) { return value == "on" || value == "off" || value == "auto"; }

const std::string a_path = "/PATH";
const std::string a_device = "/PATH or nbd://HOST/EXPORT or nbd+unix:///EXPORT?socket=/PATH";
const std::string some_seconds = "SECONDS, a number";

const std::vector<config_key> &keys() {
  static const std::vector<config_key> all = {
      {"agent", "unix:/PATH", is_agent},
      {"cache", "SIZE, of 1M at least", is_cache_size},
      {"control", a_path, is_path},
      {"election", "file or pacemaker or corosync", is_engine},
      {"fence", "COMMAND", is_text},
      {"http", "HOST:PORT", is_host_and_port},
      {"insecure", "yes or no", is_yes_or_no},
      {"listen", "unix:/PATH or tcp:HOST:PORT", is_listen, true},
      {"lock", a_path, is_path},
      {"log-level", "error or warning or info", is_log_level},
      {"metadata", a_device, is_device},
      {"node", "N, the number of this node from 0", is_number<UINT32_MAX>},
      {"parallel", "on or off or auto", is_parallel},
      {"server", "unix:/PATH or tcp:HOST:PORT, several separated by commas", is_servers},
      {"store", a_device, is_device},
      {"timeout", some_seconds, is_number<seconds_max>},
      {"unsafe-dead-after", some_seconds, is_number<seconds_max>},
  };
  return all;
}

const config_key &device_of_volume() {
  static const config_key key = {device_prefix, a_device, is_device};
  return key;
}

}  // namespace

const config_key *find_config_key(std::string_view name) {
  if (name.starts_with(device_prefix))
    return is_valid_name(name.substr(device_prefix.size())) ? &device_of_volume() : nullptr;
  const auto found =
      std::find_if(keys().begin(), keys().end(), [&](const config_key &each) { return each.name == name; });
  return found == keys().end() ? nullptr : &*found;
}

}  // namespace csnap::service
