// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/status_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace csnap::server {
namespace {

using nlohmann::json;

constexpr std::size_t json_bytes_max = wire::frame_payload_bytes_max - 16;

// Names come from peers and from disk: what is not UTF-8 must not throw.
std::string to_text(const json &document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

void leave_out(json &entries, const char *key) {
  for (json &entry : entries) entry.erase(key);
}

json describe_volumes(const store::engine &engine, std::uint64_t &snapshots, std::uint64_t &epoch) {
  json out = json::array();
  for (const auto &[id, volume] : engine.volumes()) {
    const auto &numbered = engine.snapshots(id);
    const auto live =
        static_cast<std::uint64_t>(std::count_if(numbered.begin(), numbered.end(), [](const auto &entry) {
          return entry.second.state == store::snapshot_state::live;
        }));
    snapshots += live;
    epoch = std::max(epoch, volume.epoch.number.value);
    out.push_back({{"name", volume.name},
                   {"id", id.value},
                   {"size", volume.size_bytes},
                   {"epoch", volume.epoch.number.value},
                   {"exceptions", engine.exceptions_of(id)},
                   {"snapshots", live},
                   {"when_full", to_text(volume.when_full)},
                   {"sacrificed", volume.sacrificed},
                   {"unflushed", volume.unflushed},
                   {"device", volume.device}});
  }
  return out;
}

json describe_store(const store::engine &engine, const core::core_status &status,
                    const server_description &server) {
  const store::space_usage usage = engine.usage();
  const store::geometry &shape = engine.shape();
  return {{"uuid", csnap::to_text(shape.store)},
          {"device", server.store},
          {"metadata_device", server.metadata.empty() ? server.store : server.metadata},
          {"created_unix_ms", shape.created_unix_ms},
          {"chunk_size", shape.chunk_bytes},
          {"chunks_total", usage.chunks_total},
          {"chunks_free", usage.chunks_free},
          {"chunks_reserved", usage.chunks_reserved},
          {"chunks_owned", usage.chunks_owned},
          {"total", usage.chunks_total},  // in chunks, as above
          {"free", usage.chunks_free},
          {"reserved", usage.chunks_reserved},
          {"owned", usage.chunks_owned},
          {"condition", status.store_condition},
          {"requests_waiting", status.requests_waiting},
          {"metadata", {{"total", usage.pages_total}, {"free", usage.pages_free}}}};
}

json describe_reaper(const core::reaper_status &reaper) {
  return {{"active", reaper.active},
          {"snapshots_waiting", reaper.snapshots_waiting},
          {"exceptions_removed", reaper.exceptions_removed},
          {"done_fraction", reaper.done_fraction}};
}

}  // namespace

std::string status_json(const store::engine &engine, const core::core_status &status,
                        const server_description &server) {
  std::uint64_t snapshots = 0, epoch = 0;
  json volumes = describe_volumes(engine, snapshots, epoch);
  json out = {{"role", "master"},
              {"address", server.address},
              {"node", server.node},
              {"term", csnap::to_text(status.term)},
              {"uptime", server.uptime_seconds},
              {"in_grace", status.in_grace},
              {"epoch", epoch},
              {"snapshots", snapshots},
              {"exceptions", engine.usage().exceptions},
              {"sessions", status.sessions.size()},
              {"store", describe_store(engine, status, server)},
              {"reaper", describe_reaper(status.reaper)},
              {"commits", status.commits},
              {"chunks_copied", status.chunks_copied},
              {"recalls_sent", status.recalls_sent},
              {"snapshots_created", status.snapshots_created},
              {"barriers_failed", status.barriers_failed},
              {"conditions", json::array()}};
  constexpr std::size_t conditions_max = 50;
  for (const std::string &condition : status.conditions)
    if (out["conditions"].size() < conditions_max) out["conditions"].push_back(condition.substr(0, 500));
  out["volumes"] = std::move(volumes);
  std::string text = to_text(out);
  if (text.size() <= json_bytes_max) return text;
  leave_out(out["volumes"], "device");  // the only long ones
  return to_text(out);
}

std::string sessions_json(const std::vector<core::session_status> &sessions) {
  json out = json::array();
  for (const core::session_status &session : sessions)
    out.push_back({{"session", session.id.value},
                   {"node", session.node},
                   {"pid", session.pid},
                   {"connected", session.connected},
                   {"expired", session.expired},
                   {"lease_left_ms", session.lease_left_ms},
                   {"volumes", session.volumes},
                   {"snapshots_open", session.snapshots_open},
                   {"delegations", session.delegations},
                   {"chunks_reserved", session.chunks_reserved}});
  std::string text = to_text(out);
  if (text.size() <= json_bytes_max) return text;
  leave_out(out, "volumes");
  return to_text(out);
}

}  // namespace csnap::server
