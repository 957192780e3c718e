// SPDX-License-Identifier: BSD-3-Clause
#include "agent/command_line.h"

#include "agent/node_agent.h"
#include "metaserver/base/names.h"

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

}  // namespace

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
