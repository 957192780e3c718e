// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON behind `csnap status` and `csnap sessions`. Keys are only ever added. A report always fits one
// frame: the device names (or lists of volumes) are left out where it would not.
#pragma once

#include "metaserver/core/server_core.h"
#include "metaserver/store/engine.h"

#include <cstdint>
#include <string>
#include <vector>

namespace csnap::server {

struct server_description {
  std::string store;     // as given on the command line
  std::string metadata;  // empty: on the store
  std::string address;
  std::uint32_t node = 0;
  std::int64_t uptime_seconds = 0;
};

std::string status_json(const store::engine &engine, const core::core_status &status,
                        const server_description &server);
std::string sessions_json(const std::vector<core::session_status> &sessions);

}  // namespace csnap::server
