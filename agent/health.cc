// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON behind `csnap agent-status`, and the same in one line. Keys are only ever added.
#include "agent/log.h"
#include "agent/node_agent.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace csnap::agent {

namespace {

constexpr std::size_t trouble_length_max = 300;  // so that instances_max of them fit a report

}  // namespace

std::string node_agent::health() const {
  nlohmann::json out;
  bool all_have_masters = true;
  out["instances"] = nlohmann::json::array();
  for (const auto &each : instances_) {
    const auto &master = each->master();
    all_have_masters = all_have_masters && master.has_value();
    nlohmann::json one;
    one["name"] = each->name();
    if (each->store()) one["store"] = to_text(*each->store());
    if (master) one["address"] = printable(master->address), one["term"] = to_text(master->term);
    one["clients"] = static_cast<std::uint64_t>(std::count_if(
        clients_.begin(), clients_.end(), [&](const auto &c) { return c.second.watches == each.get(); }));
    if (each->server().may_be_started()) one["server"] = printable(each->server().state());
    if (const std::string why = printable(each->trouble()); !why.empty())
      one["trouble"] = why.substr(0, trouble_length_max);
    out["instances"].push_back(std::move(one));
  }
  out["ok"] = all_have_masters;
  out["version"] = CSNAP_VERSION;
  out["clients"] = static_cast<std::uint64_t>(clients_.size());
  out["uptime"] = static_cast<std::uint64_t>((client::boottime_now().value - began_.value) / 1000);
  return out.dump();
}

std::string node_agent::status_line() const {
  std::string out;
  for (const auto &each : instances_) {
    const auto &master = each->master();
    out += (out.empty() ? "" : "; ") + each->name() + ": " +
           (master ? "master at " + printable(master->address) : "no master is known");
  }
  return out;
}

}  // namespace csnap::agent
