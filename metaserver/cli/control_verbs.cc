// SPDX-License-Identifier: BSD-3-Clause
//
// role, promote, demote, pid, fence-confirm: orders to the server of this host, by its control socket. What
// cluster managers run; a person may too.
#include "metaserver/cli/control_call.h"
#include "metaserver/cli/verbs.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace csnap::cli {
namespace {

using nlohmann::json;

struct control_options {
  std::string socket = "/run/csnap/control";
  bool verify = false, proven = false;
  std::uint32_t inspect_seconds = 0;
  std::string node;
};

// One "KEY VALUE" for each line: as easy for a shell as for a person.
void print_state(const std::string &answer, bool as_json) {
  const json state = json::parse(answer, nullptr, false);
  if (as_json || !state.is_object()) {
    std::printf("%s\n", answer.c_str());
    return;
  }
  for (const auto &[key, value] : state.items())
    std::printf("%s %s\n", key.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
}

exit_status order(const command_line &line, const control_options &options, const std::string &what) {
  const auto answer = give_order(options.socket, what, std::chrono::seconds(line.globals.timeout_seconds));
  if (!answer) return failed(answer.error());
  print_state(*answer, line.globals.json);
  return exit_status::done;
}

exit_status show_pid(const control_options &options) {
  const auto pid = process_behind(options.socket);
  if (!pid && pid.error().code != errc::not_found) return failed(pid.error());
  std::printf("%s\n", pid ? std::to_string(*pid).c_str() : "none");
  return exit_status::done;
}

CLI::App *add_control_verb(CLI::App &app, const char *name, const char *about, control_options &options) {
  auto *verb = app.add_subcommand(name, about);
  verb->add_option("--control", options.socket, "Control socket of the server")
      ->envname("CSNAP_CONTROL")
      ->capture_default_str();
  return verb;
}

}  // namespace

void add_control_verbs(CLI::App &app, command_line &line) {
  const auto options = std::make_shared<control_options>();
  auto *role =
      add_control_verb(app, "role", "Show whether this host's server is master or standby", *options);
  role->add_flag("--verify", options->verify,
                 "Also read the store: is it there, is the master still the newest");
  role->add_option("--inspect", options->inspect_seconds,
                   "Also check the index, for so many seconds at most");
  role->footer("Example: csnap role --verify");
  role->callback([&line, options] {
    const std::string inspect = "inspect " + std::to_string(options->inspect_seconds);
    line.status = order(line, *options,
                        options->inspect_seconds > 0 ? inspect
                        : options->verify            ? "verify"
                                                     : "role");
  });
  auto *promote = add_control_verb(app, "promote", "Make this host's standby the master", *options);
  promote->add_flag(
      "--proven", options->proven,
      "Every earlier master is known to have ended, or its node is off: its areas of the store are free");
  promote->footer("For the cluster manager that elects (--election pacemaker). Example: csnap promote");
  promote->callback([&line, options] {
    line.status = order(line, *options, options->proven ? "promote proven" : "promote");
  });
  auto *demote =
      add_control_verb(app, "demote", "End the master of this host, when all is in the store", *options);
  demote->footer("Done when that server can write nothing any more. Example: csnap demote");
  demote->callback([&line, options] { line.status = order(line, *options, "demote"); });
  auto *confirm = add_control_verb(app, "fence-confirm",
                                   "Say that a node is off, or fenced, and writes no more", *options);
  confirm->add_option("NODE", options->node, "Name of the node, as 'csnap sessions' shows it")->required();
  confirm->footer(
      "Only when it is certain: what a node that still runs may write would be given to others.\n"
      "Example: csnap fence-confirm node7");
  confirm->callback(
      [&line, options] { line.status = order(line, *options, "fence-confirm " + options->node); });
  auto *pid = add_control_verb(app, "pid", "Show the process of this host's server, or none", *options);
  pid->footer("Example: csnap pid");
  pid->callback([&line, options] { line.status = show_pid(*options); });
}

}  // namespace csnap::cli
