// SPDX-License-Identifier: BSD-3-Clause
//
// Where csnap is built without libsystemd.
#include "metaserver/service/service_notice.h"

namespace csnap::service {

service_notice::service_notice(boost::asio::io_context &io, std::function<std::string()> status)
    : timer_(io), status_(std::move(status)) {}
void service_notice::ready() {}
void service_notice::stopping() {}
void service_notice::tell_every_second() {}

}  // namespace csnap::service
