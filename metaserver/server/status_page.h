// SPDX-License-Identifier: BSD-3-Clause
//
// What --http serves: / (a page for people), /status.json, /sessions.json, /snapshots.json, /metrics and
// /healthz. All say what this server believes; none proves that it still is the master.
#pragma once

#include "metaserver/server/http_listener.h"
#include "metaserver/server/master.h"

#include <optional>
#include <string_view>

namespace csnap::server {

// `master`: null on a standby.
std::optional<http_page> status_page(std::string_view path, const master_view *master);

}  // namespace csnap::server
