// SPDX-License-Identifier: BSD-3-Clause
//
// What csnap-agent is told on its command line: each instance by its name, in parts.
#pragma once

#include "agent/instance.h"

#include <string>
#include <vector>

namespace csnap::agent {

struct command_line {
  std::string socket;
  std::vector<std::string> stores, servers, instances;  // NAME=...
  std::string metaserver = "csnap-metaserver";
  std::vector<std::string> configs;  // names or paths
};

// Reads the configurations that are named, and adds each as an instance of its name: its store, its servers, and the
// server that can be started. What the command line says of that instance, or of the socket, wins.
result<> add_configurations(command_line &line);

// Errors: invalid, one line for the person who typed it.
result<std::vector<instance_options>> interpret(const command_line &line);

}  // namespace csnap::agent
