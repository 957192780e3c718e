// SPDX-License-Identifier: BSD-3-Clause
//
// The server's figures in Prometheus' text format, version 0.0.4. Names are only ever added; units are base
// units (bytes, seconds), counters end in _total.
#pragma once

#include "metaserver/server/commit_loop.h"
#include "metaserver/server/status_report.h"

#include <string>

namespace csnap::server {

inline constexpr const char *metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_text(const store::engine &engine, const core::core_status &status,
                         const server_description &server, const commit_figures &work);
// Of a server that only stands by.
std::string standby_metrics_text();

}  // namespace csnap::server
