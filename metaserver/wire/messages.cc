// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/wire/messages.h"

namespace csnap::wire {

message::message() = default;
message::message(const message &) = default;
message::message(message &&) noexcept = default;
message &message::operator=(const message &) = default;
message &message::operator=(message &&) noexcept = default;
message::~message() = default;

}  // namespace csnap::wire
