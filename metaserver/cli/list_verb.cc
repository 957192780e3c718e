// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/table.h"
#include "metaserver/cli/verbs.h"
#include "metaserver/store/catalog.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <map>
#include <memory>
#include <vector>

namespace csnap::cli {
namespace {

struct listing {
  std::map<volume_id, std::string> volumes;
  std::vector<wire::snapshot_entry> snapshots;
};

std::string state_text(const wire::snapshot_entry &entry) {
  if (entry.sacrificed) return "sacrificed";
  switch (static_cast<store::snapshot_state>(entry.state)) {
    case store::snapshot_state::live: return "live";
    case store::snapshot_state::dying: return "dying";
    case store::snapshot_state::dead: return "dead";
  }
  return "unknown";
}

std::vector<std::string> hold_tags(const wire::snapshot_entry &entry) {
  std::vector<std::string> out;
  for (const auto &each : entry.holds) out.push_back(each.tag);
  return out;
}

result<listing> fetch(const master_call &master, const std::string &volume) {
  listing out;
  wire::list request;
  request.volume = volume;
  for (bool more = true; more;) {
    auto reply = master.ask<wire::list_reply>(request);
    if (!reply) return reply.error();
    for (const auto &each : reply->volumes) out.volumes[each.id] = each.name;
    for (auto &each : reply->snapshots) out.snapshots.push_back(std::move(each));
    more = reply->more;
    if (more && reply->snapshots.empty())
      return fail(errc::invalid,
                  "the server promised more snapshots and gave none: is it of another version?");
    if (more) {
      request.after_volume = out.snapshots.back().volume;
      request.after_number = out.snapshots.back().number;
    }
  }
  return out;
}

void print_json(const listing &all) {
  nlohmann::json out = nlohmann::json::array();
  for (const auto &each : all.snapshots) {
    const auto volume = all.volumes.find(each.volume);
    out.push_back({{"volume", volume == all.volumes.end() ? "" : volume->second},
                   {"snapshot", each.name},
                   {"number", each.number.value},
                   {"created", each.created_unix_ms},
                   {"size", each.size_bytes},
                   {"priority", static_cast<std::int32_t>(each.priority)},
                   {"state", state_text(each)},
                   {"holds", hold_tags(each)}});
  }
  std::printf("%s\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_table(const listing &all) {
  using enum table::align;
  if (all.snapshots.empty()) {
    std::printf("no snapshots\n");
    return;
  }
  table out({{"SNAPSHOT", left},
             {"NUMBER", right},
             {"CREATED", left},
             {"SIZE", right},
             {"PRIORITY", right},
             {"STATE", left},
             {"HELD BY", left}});
  const std::int64_t now = unix_ms_now();
  for (const auto &each : all.snapshots) {
    const auto volume = all.volumes.find(each.volume);
    const std::string name = (volume == all.volumes.end() ? "?" : volume->second) + "@" + each.name;
    std::string holds;
    for (const std::string &tag : hold_tags(each)) holds += (holds.empty() ? "" : ",") + tag;
    out.add({name, std::to_string(each.number.value),
             age_text(static_cast<std::int64_t>(each.created_unix_ms), now), format_size(each.size_bytes),
             std::to_string(static_cast<std::int32_t>(each.priority)), state_text(each), holds});
  }
  std::printf("%s", out.text().c_str());
}

exit_status list(const global_options &globals, const std::string &volume) {
  if (!volume.empty() && !is_valid_name(volume)) return misused(invalid_name("volume", volume).text);
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  const auto all = fetch(*master, volume);
  if (!all) return failed(all.error());
  if (globals.json) print_json(*all);
  else print_table(*all);
  return exit_status::done;
}

}  // namespace

void add_list_verb(CLI::App &app, command_line &line) {
  const auto volume = std::make_shared<std::string>();
  auto *verb = app.add_subcommand("list", "Show the snapshots");
  verb->add_option("VOL", *volume, "Of this volume only");
  verb->footer(
      "Example: csnap list disk1\n"
      "With --json, \"created\" is in milliseconds since 1970 (UTC), \"size\" in bytes.");
  verb->callback([volume, &line] { line.status = list(line.globals, *volume); });
}

}  // namespace csnap::cli
