// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/table.h"
#include "metaserver/cli/verbs.h"
#include "metaserver/client/agent_watch.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace csnap::cli {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds agent_patience{5000};

std::string text_of(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : "";
}
std::string number_of(const json &from, const char *key) {
  return from.is_object() && from.contains(key) && from[key].is_number_unsigned()
             ? std::to_string(from[key].get<std::uint64_t>())
             : "";
}

void print_health(const json &health) {
  using enum table::align;
  table out(
      {{"INSTANCE", left}, {"MASTER", left}, {"TERM", left}, {"CLIENTS", right}, {"SERVER HERE", left}});
  if (health.is_object() && health.contains("instances") && health["instances"].is_array())
    for (const json &each : health["instances"]) {
      const std::string at = text_of(each, "address");
      out.add({text_of(each, "name"), at.empty() ? "none known" : at, text_of(each, "term"),
               number_of(each, "clients"), text_of(each, "server")});
      if (const std::string why = text_of(each, "trouble"); !why.empty())
        print_error_line(text_of(each, "name") + ": " + why);
    }
  std::printf("%s", out.text().c_str());
}

// As found by a script: 0 only when every instance has a master.
bool is_healthy(const json &health) {
  return health.is_object() && health.contains("ok") && health["ok"].is_boolean() && health["ok"].get<bool>();
}

exit_status show_health(const global_options &globals) {
  const auto path = agent_path(globals);
  if (!path) return misused(path.error().text);
  const auto answer = client::ask_agent(*path, wire::agent::health{}, agent_patience);
  if (!answer) return failed(answer.error());
  const auto *report = std::get_if<wire::agent::report>(&*answer);
  const json document = json::parse(report == nullptr ? std::string() : report->json, nullptr, false);
  if (document.is_discarded())
    return failed(fail(errc::invalid, "the agent's report is not JSON: is it of another version?"));
  if (globals.json) std::printf("%s\n", document.dump().c_str());
  else print_health(document);
  return is_healthy(document) ? exit_status::done : exit_status::failed;
}

exit_status start_instance(const global_options &globals, const std::string &name) {
  const auto path = agent_path(globals);
  if (!path) return misused(path.error().text);
  const auto answer = client::ask_agent(*path, wire::agent::instance_start{name}, agent_patience);
  if (!answer) return failed(answer.error());
  return exit_status::done;
}

}  // namespace

void add_agent_verbs(CLI::App &app, command_line &line) {
  auto *health =
      app.add_subcommand("agent-status", "Show what this node's agent knows: masters, servers it runs");
  health->footer(
      "Exit status 1: an instance has no master. Example: csnap --agent /run/csnap/agent.sock agent-status");
  health->callback([&line] { line.status = show_health(line.globals); });
  auto *start =
      app.add_subcommand("instance-start", "Have this node's agent start the server of an instance");
  auto name = std::make_shared<std::string>();
  start->add_option("NAME", *name, "Name of the instance, as the agent was started with")->required();
  start->footer("Example: csnap --agent /run/csnap/agent.sock instance-start main");
  start->callback([&line, name] {
    line.status = is_valid_name(*name) ? start_instance(line.globals, *name)
                                       : misused(invalid_name("instance", *name).text);
  });
}

}  // namespace csnap::cli
