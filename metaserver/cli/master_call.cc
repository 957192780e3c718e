// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/master_call.h"

#include "metaserver/base/names.h"

namespace csnap::cli {

result<std::string> agent_path(const global_options &globals) {
  if (globals.agent.empty())
    return fail(errc::invalid, "no agent is named: give --agent PATH or set CSNAP_AGENT");
  if (globals.agent.starts_with('/')) return globals.agent;
  const auto where = client::parse_endpoint(globals.agent);
  if (where && where->type == client::endpoint::kind::unix_socket) return where->path;
  return fail(errc::invalid, "--agent " + globals.agent + " is neither a path nor unix:PATH");
}

result<master_call> find_master(const global_options &globals) {
  if (globals.server.empty() && !globals.agent.empty()) {
    auto path = agent_path(globals);
    if (!path) return path.error();
    if (!globals.instance.empty() && !is_valid_name(globals.instance))
      return invalid_name("instance", globals.instance);
    return master_call(client::of_agent({std::move(*path), globals.instance, {}}), globals);
  }
  if (globals.server.empty())
    return fail(
        errc::invalid,
        "no server is named: give --server ENDPOINT or --agent PATH, or set CSNAP_SERVER or CSNAP_AGENT");
  auto servers = client::parse_endpoints(globals.server);
  if (!servers) return servers.error();
  return master_call(client::in_turn(std::move(*servers)), globals);
}

}  // namespace csnap::cli
