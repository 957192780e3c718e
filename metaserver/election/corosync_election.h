// SPDX-License-Identifier: BSD-3-Clause
//
// The engine `corosync`: in a quorate partition the oldest member of a closed process group is the master
// (libcpg, libquorum). For clusters without a resource manager. Offered where the libraries were found.
//
// All members see the same messages in the same order, and number newcomers alike, so that they agree who is
// oldest without a word more. Every member says each second that it lives: one that is stopped while its
// corosync runs on is passed over. That, and a partition, can give two masters for a moment: the election can
// split, and the term in the store keeps the stale one out.
#pragma once

#include "metaserver/base/result.h"
#include "metaserver/election/election.h"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>

namespace csnap {

// `group` names the election: one for each store. Servers wait for corosync if it does not run yet. Errors:
// unsupported (built without the libraries).
result<std::unique_ptr<election>> open_corosync_election(boost::asio::io_context &io,
                                                         const std::string &group);

}  // namespace csnap
