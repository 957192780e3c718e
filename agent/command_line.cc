// SPDX-License-Identifier: BSD-3-Clause
#include "agent/command_line.h"

#include "agent/node_agent.h"
#include "metaserver/base/names.h"
#include "metaserver/service/config_file.h"

#include <algorithm>
#include <sstream>

namespace csnap::agent {

namespace {

struct named_value {
  std::string name, value;
};

result<named_value> split(const char *option, const std::string &text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size())
    return fail(errc::invalid, std::string(option) + " " + text + ": give " + option + " NAME=VALUE");
  named_value out{text.substr(0, equals), text.substr(equals + 1)};
  if (!is_valid_name(out.name)) return invalid_name("instance", out.name);
  return out;
}

// As a shell would split words, without any quoting.
std::vector<std::string> words(const std::string &text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

bool names(const std::vector<std::string> &given, const std::string &instance) {
  return std::any_of(given.begin(), given.end(),
                     [&](const std::string &each) { return each.starts_with(instance + "="); });
}

result<> add(command_line &line, const command_line &typed, const service::store_config &from) {
  const std::string prefix = from.name + "=";
  if (from.file.find_first_of(" \t") != std::string::npos)
    return fail(errc::invalid,
                from.file + ": a path without blanks is needed, for the server that is started with it");
  if (!names(typed.stores, from.name)) line.stores.push_back(prefix + from.metadata_device());
  if (const std::string servers = from.value_of("server");
      !servers.empty() && !names(typed.servers, from.name))
    line.servers.push_back(prefix + servers);
  if (!names(typed.instances, from.name)) line.instances.push_back(prefix + "--config " + from.file);
  const std::string agent = from.value_of("agent");
  if (!typed.socket.empty() || agent.empty()) return {};
  if (!line.socket.empty() && line.socket != agent)
    return fail(errc::invalid, from.file + ": agent = " + agent +
                                   ", but another store's configuration says " + line.socket +
                                   ": one agent has one socket");
  line.socket = agent;
  return {};
}

}  // namespace

result<> add_configurations(command_line &line) {
  const command_line typed = line;
  for (const std::string &each : typed.configs) {
    const auto files = service::read_store_configs(each);
    if (!files) return files.error();
    for (const service::store_config &file : *files)
      if (const auto added = add(line, typed, file); !added) return added;
  }
  return {};
}

result<std::vector<instance_options>> interpret(const command_line &line) {
  std::vector<instance_options> out;
  const auto of_name = [&](const std::string &name) -> instance_options & {
    const auto known =
        std::find_if(out.begin(), out.end(), [&](const auto &each) { return each.name == name; });
    if (known != out.end()) return *known;
    out.emplace_back().name = name;
    out.back().lock_file = line.socket + "." + name + ".lock";
    return out.back();
  };
  for (const std::string &text : line.stores) {
    const auto given = split("--store", text);
    if (!given) return given.error();
    auto &device = of_name(given->name).device;
    if (!device.empty()) return fail(errc::invalid, "--store is given twice for " + given->name);
    device = given->value;
  }
  for (const std::string &text : line.servers) {
    const auto given = split("--server", text);
    if (!given) return given.error();
    const auto servers = client::parse_endpoints(given->value);
    if (!servers) return servers.error();
    auto &all = of_name(given->name).servers;
    all.insert(all.end(), servers->begin(), servers->end());
  }
  for (const std::string &text : line.instances) {
    const auto given = split("--instance", text);
    if (!given) return given.error();
    auto &command = of_name(given->name).command;
    if (!command.empty()) return fail(errc::invalid, "--instance is given twice for " + given->name);
    command = words(given->value);
    command.insert(command.begin(), line.metaserver);
  }
  if (out.empty())
    return fail(errc::invalid, "no instance is named: give --store NAME=DEVICE or --server NAME=ENDPOINT");
  if (out.size() > instances_max)
    return fail(errc::invalid,
                "more than " + std::to_string(instances_max) + " instances: use a second agent");
  return out;
}

}  // namespace csnap::agent
