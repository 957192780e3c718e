// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/master_call.h"

namespace csnap::cli {

result<master_call> find_master(const global_options &globals) {
  if (globals.server.empty())
    return fail(errc::invalid, "no server is named: give --server ENDPOINT or set CSNAP_SERVER");
  auto servers = client::parse_endpoints(globals.server);
  if (!servers) return servers.error();
  return master_call(std::move(*servers), globals);
}

}  // namespace csnap::cli
