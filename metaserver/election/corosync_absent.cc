// SPDX-License-Identifier: BSD-3-Clause
//
// In place of corosync_election.cc where libcpg or libquorum was not found.
#include "metaserver/election/corosync_election.h"

namespace csnap {

result<std::unique_ptr<election>> open_corosync_election(boost::asio::io_context &, const std::string &) {
  return fail(errc::unsupported,
              "--election corosync is not offered: csnap was built without libcpg and libquorum");
}

}  // namespace csnap
