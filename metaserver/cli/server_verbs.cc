// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/table.h"
#include "metaserver/cli/verbs.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace csnap::cli {
namespace {

using nlohmann::json;

// What a server of another version leaves out is shown as nothing, never a reason to fail.
std::uint64_t number(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_number_unsigned()
             ? from[key].get<std::uint64_t>()
             : 0;
}
bool flag(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_boolean() && from[key].get<bool>();
}
std::string text(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : "";
}
json list(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_array() ? from[key] : json::array();
}
json object(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_object() ? from[key] : json::object();
}

void print_summary(const json &status) {
  const json store = object(status, "store"), pages = object(store, "metadata"),
             reaper = object(status, "reaper");
  const std::uint64_t chunk = number(store, "chunk_size");
  const auto chunks = [&](const char *key) { return format_size(number(store, key) * chunk); };
  std::printf("store      %s on %s\n", text(store, "uuid").c_str(), text(store, "device").c_str());
  std::printf("master     %s, term %s, up %s%s\n", text(status, "address").c_str(),
              text(status, "term").c_str(),
              duration_text(static_cast<std::int64_t>(number(status, "uptime"))).c_str(),
              flag(status, "in_grace") ? ", in grace after a takeover" : "");
  const std::string condition = text(store, "condition");
  std::printf("space      %s of %s free, %s reserved; chunks of %s%s\n", chunks("chunks_free").c_str(),
              chunks("chunks_total").c_str(), chunks("chunks_reserved").c_str(), format_size(chunk).c_str(),
              condition.empty() || condition == "ok" ? "" : (" (" + condition + ")").c_str());
  std::printf("metadata   %llu of %llu pages free\n", static_cast<unsigned long long>(number(pages, "free")),
              static_cast<unsigned long long>(number(pages, "total")));
  std::printf("snapshots  %llu, holding %s\n", static_cast<unsigned long long>(number(status, "snapshots")),
              chunks("chunks_owned").c_str());
  std::printf("sessions   %llu\n", static_cast<unsigned long long>(number(status, "sessions")));
  if (const std::uint64_t waiting = number(reaper, "snapshots_waiting"); waiting > 0)
    std::printf("deleting   %llu snapshots\n", static_cast<unsigned long long>(waiting));
}

void print_volumes(const json &status) {
  using enum table::align;
  table out({{"VOLUME", left},
             {"SIZE", right},
             {"SNAPSHOTS", right},
             {"COPIED", right},
             {"WHEN FULL", left},
             {"GIVEN UP", right},
             {"DEVICE", left}});
  const std::uint64_t chunk = number(object(status, "store"), "chunk_size");
  for (const json &each : list(status, "volumes"))
    out.add({text(each, "name"), format_size(number(each, "size")), std::to_string(number(each, "snapshots")),
             format_size(number(each, "exceptions") * chunk), text(each, "when_full"),
             std::to_string(number(each, "sacrificed")), text(each, "device")});
  std::printf("\n%s", out.text().c_str());
  for (const json &each : list(status, "conditions"))
    if (each.is_string()) std::printf("\nattention: %s\n", each.get<std::string>().c_str());
}

void print_sessions(const json &sessions) {
  using enum table::align;
  if (sessions.empty()) {
    std::printf("no sessions\n");
    return;
  }
  table out({{"SESSION", right},
             {"NODE", left},
             {"PID", right},
             {"STATE", left},
             {"WRITES", left},
             {"SNAPSHOTS", right},
             {"RESERVED", right}});
  for (const json &each : sessions) {
    std::string volumes;
    for (const json &name : list(each, "volumes"))
      if (name.is_string()) volumes += (volumes.empty() ? "" : ",") + name.get<std::string>();
    const bool expired = flag(each, "expired");
    const bool connected = flag(each, "connected");
    out.add({std::to_string(number(each, "session")), text(each, "node"), std::to_string(number(each, "pid")),
             expired     ? "expired"
             : connected ? "connected"
                         : "away",
             volumes, std::to_string(number(each, "snapshots_open")),
             std::to_string(number(each, "chunks_reserved"))});
  }
  std::printf("%s", out.text().c_str());
}

exit_status show(const global_options &globals, const wire::message &request,
                 const std::function<void(const json &)> &print) {
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  const auto report = master->ask<wire::report>(request);
  if (!report) return failed(report.error());
  const json document = json::parse(report->json, nullptr, false);
  if (document.is_discarded())
    return failed(fail(errc::invalid, "the server's report is not JSON: is it of another version?"));
  if (globals.json) std::printf("%s\n", document.dump().c_str());
  else print(document);
  return exit_status::done;
}

}  // namespace

void add_server_verbs(CLI::App &app, command_line &line) {
  auto *status_verb = app.add_subcommand("status", "Show the master, the store's space and the volumes");
  status_verb->footer("Example: csnap status --json");
  status_verb->callback([&line] {
    line.status = show(line.globals, wire::status{}, [](const json &document) {
      print_summary(document);
      print_volumes(document);
    });
  });
  auto *sessions_verb = app.add_subcommand("sessions", "Show the clients that do I/O");
  sessions_verb->footer("Example: csnap sessions");
  sessions_verb->callback([&line] { line.status = show(line.globals, wire::sessions{}, print_sessions); });
}

}  // namespace csnap::cli
