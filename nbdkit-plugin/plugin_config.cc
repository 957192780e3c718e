// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/plugin_config.h"

#include "metaserver/base/names.h"
#include "metaserver/service/config_file.h"

#include <charconv>
#include <filesystem>

namespace csnap::plugin {

// One line for each key: bash completion looks for "key=" at the begin of a line.
const char *const config_help =
    "server=<ENDPOINT>[,...]  metadata servers, one the master: unix:PATH or tcp:HOST:PORT\n"
    "agent=unix:<PATH>        or: this node's csnap-agent, which finds the master\n"
    "instance=<NAME>          the agent's name for the store (default: found by its id)\n"
    "store=<DEVICE>           (required) data device of the snapshot store\n"
    "config=<NAME>            read /etc/csnap/NAME.conf (<NAME>:<VOLUME>: as volume=)\n"
    "volume=<NAME>            serve this volume and its snapshots only (default: all)\n"
    "device.<NAME>=<DEVICE>   device of volume NAME on this node (default: as formatted)\n"
    "timeout=<SECONDS>        give up waiting for the server (default 0: never)\n"
    "parallel=<on|off|auto>   handle the requests of a connection in parallel (default on)\n";

namespace {

constexpr std::string_view device_prefix = "device.";
constexpr unsigned timeout_seconds_max = 1u << 20;

// A URI of an NBD export stays as it is.
std::string absolute_device(std::string_view device) {
  if (device.find("://") != std::string_view::npos) return std::string(device);
  return std::filesystem::absolute(std::filesystem::path(device)).string();
}

result<std::vector<client::endpoint>> parse_servers(std::string_view value) {
  auto servers = client::parse_endpoints(value);
  if (!servers) return servers;
  for (client::endpoint &e : *servers)
    if (e.type == client::endpoint::kind::unix_socket) e.path = std::filesystem::absolute(e.path).string();
  return servers;
}

result<std::chrono::milliseconds> parse_timeout(std::string_view value) {
  unsigned seconds = 0;
  const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (ec != std::errc{} || end != value.data() + value.size() || seconds > timeout_seconds_max)
    return fail(errc::invalid, "timeout=" + std::string(value) + " is not a number of seconds from 0 to " +
                                   std::to_string(timeout_seconds_max));
  return std::chrono::milliseconds(std::chrono::seconds(seconds));
}

result<parallel_mode> parse_parallel(std::string_view value) {
  if (value == "on") return parallel_mode::on;
  if (value == "off") return parallel_mode::off;
  if (value == "auto") return parallel_mode::automatic;
  return fail(errc::invalid, "parallel=" + std::string(value) + " is none of on, off and auto");
}

void plant(plugin_config &config, std::string_view names) {
  while (!names.empty()) {
    const auto comma = names.find(',');
    const auto name = names.substr(0, comma);
    if (name == "skip_copy_out") config.planted.skip_copy_out = true;
    else if (name == "no_flush_before_commit") config.planted.no_flush_before_commit = true;
    else if (name == "ignore_copy_error") config.planted.ignore_copy_error = true;
    else if (name == "return_with_io") config.planted.return_with_io = true;
    else config.planted_in_machine.emplace_back(name);
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  }
}

}  // namespace

result<> plugin_config::set(std::string_view key, std::string_view value) {
  const auto twice = [&] { return fail(errc::invalid, "parameter " + std::string(key) + " is given twice"); };
  if (value.empty()) return fail(errc::invalid, "parameter " + std::string(key) + " is empty");
  if (key == "server") {
    if (!servers.empty())
      return fail(errc::invalid, "parameter server is given twice: separate servers by commas");
    auto parsed = parse_servers(value);
    if (!parsed) return parsed.error();
    servers = std::move(*parsed);
  } else if (key == "store") {
    if (!store.empty()) return twice();
    store = absolute_device(value);
  } else if (key.starts_with(device_prefix)) {
    const auto name = key.substr(device_prefix.size());
    if (!is_valid_name(name)) return invalid_name("volume", name);
    if (!devices.emplace(name, absolute_device(value)).second) return twice();
  } else if (key == "timeout") {
    const auto parsed = parse_timeout(value);
    if (!parsed) return parsed.error();
    timeout = *parsed;
  } else if (key == "parallel") {
    const auto parsed = parse_parallel(value);
    if (!parsed) return parsed.error();
    parallel = *parsed;
  } else if (key == "agent") {
    if (!agent.empty()) return twice();
    const auto where = client::parse_endpoint(value);
    if (!where) return where.error();
    if (where->type != client::endpoint::kind::unix_socket)
      return fail(errc::invalid,
                  "agent=" + std::string(value) + " is not on this node: give agent=unix:<PATH>");
    agent = std::filesystem::absolute(where->path).string();
  } else if (key == "instance") {
    if (!instance.empty()) return twice();
    if (!is_valid_name(value)) return invalid_name("instance", value);
    instance = value;
  } else if (key == "volume") {
    if (!volume.empty()) return twice();
    if (!is_valid_name(value)) return invalid_name("volume", value);
    volume = value;
  } else if (key == "config") {
    if (!config.empty()) return twice();
    // A name holds no ':', and a service is named by one word: csnap-nbd@NAME:VOLUME.
    const bool is_path = value.find('/') != std::string_view::npos;
    const auto colon = is_path ? std::string_view::npos : value.find(':');
    config = is_path ? std::filesystem::absolute(value).string() : std::string(value.substr(0, colon));
    if (!is_path && !is_valid_name(config)) return invalid_name("configuration", config);
    if (colon != std::string_view::npos) return set("volume", value.substr(colon + 1));
  } else if (key == "csnap-planted") {
    plant(*this, value);
  } else {
    return fail(errc::invalid, "unknown parameter '" + std::string(key) + "': see nbdkit csnap --help");
  }
  given.emplace(key);
  return {};
}

// A store with an agent is found through it; else the servers are those that are named, or the one that the same
// file lets run here.
result<> plugin_config::add_configuration() {
  const auto file = service::read_store_config(config);
  if (!file) return file.error();
  const auto take = [&](const std::string &key, const std::string &value) -> result<> {
    const auto taken = set(key, value);
    return taken ? result<>() : fail(taken.error().code, file->file + ": " + taken.error().text);
  };
  if (servers.empty() && agent.empty()) {
    std::string endpoints = file->value_of("server");
    if (endpoints.empty())
      for (const std::string &each : file->values_of("listen"))
        endpoints += (endpoints.empty() ? "" : ",") + each;
    const std::string by_agent = file->value_of("agent");
    if (by_agent.empty() && endpoints.empty())
      return fail(errc::invalid, file->file + ": expected a line agent = unix:/PATH or server = ENDPOINT");
    if (const auto taken = by_agent.empty() ? take("server", endpoints) : take("agent", by_agent); !taken)
      return taken;
  }
  for (const service::setting &each : file->settings) {
    const bool is_ours = each.key.starts_with(device_prefix) || each.key == "store" ||
                         each.key == "timeout" || each.key == "parallel";
    if (!is_ours || given.contains(each.key)) continue;
    if (const auto taken = take(each.key, each.value); !taken) return taken;
  }
  return {};
}

result<> plugin_config::complete() {
  if (!config.empty())
    if (const auto added = add_configuration(); !added) return added;
  return check_complete();
}

result<> plugin_config::check_complete() const {
  const auto missing = [](const char *what) {
    return fail(errc::invalid, std::string("you must supply the ") + what +
                                   " parameter after the plugin name on the command line");
  };
  if (servers.empty() && agent.empty()) return missing("server=<ENDPOINT> or agent=unix:<PATH>");
  if (!servers.empty() && !agent.empty())
    return fail(errc::invalid, "server= and agent= are given: one of them finds the master");
  if (!instance.empty() && agent.empty())
    return fail(errc::invalid, "instance= is a name that an agent knows: give agent=unix:<PATH> too");
  if (store.empty()) return missing("store=<DEVICE>");
  return {};
}

}  // namespace csnap::plugin
