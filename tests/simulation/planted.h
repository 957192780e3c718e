// SPDX-License-Identifier: BSD-3-Clause
//
// Mistakes that the simulator must find: in the core, the client machine, the plugin's data path, the server's
// edge, and in the world itself (a disk that lies, an election that lies, ...). One at a time.
#pragma once

#include "tests/simulation/node_process.h"
#include "tests/simulation/server_process.h"

#include <functional>
#include <string>
#include <vector>

namespace csnap::simulation {

class cluster;

struct planted_bug {
  enum class where : std::uint8_t { core, engine, machine, plugin, edge, server_world, node_world, world };
  std::string name;
  where in;
  std::string what;  // for people
  std::function<void(server_setup &)> in_server;
  std::function<void(node_setup &)> in_node;
  std::function<void(cluster &)> in_world;
  bool tool_new_ids = false;

  void change(server_setup &s) const {
    if (in_server) in_server(s);
  }
  void change(node_setup &n) const {
    if (in_node) in_node(n);
  }
  void prepare(cluster &c) const {
    if (in_world) in_world(c);
  }
};

const std::vector<planted_bug> &planted_bugs();
const planted_bug *find_planted(const std::string &name);  // null: none of that name

}  // namespace csnap::simulation
