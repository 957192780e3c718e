// SPDX-License-Identifier: BSD-3-Clause
//
// csnap: the tool. One verb each time; exit status 0 done, 1 failed, 2 wrong usage; errors are one line on
// stderr.
#include "metaserver/cli/attach_verbs.h"

#include <csignal>
#include <cstdio>
#include <string>

namespace csnap::cli {

// Their names are taken, so that people are told rather than left to guess.
void add_unoffered_verbs(CLI::App &app, command_line &line) {
  for (const char *name : {"clone", "rollback", "send", "receive"}) {
    auto *verb = app.add_subcommand(name)->group("")->allow_extras()->fallthrough(false);
    verb->callback(
        [name, &line] { line.status = misused("'" + std::string(name) + "' is not offered yet"); });
  }
}

namespace {

void add_verbs(CLI::App &app, command_line &line) {
  app.fallthrough();  // --json and --server may stand after the verb
  app.require_subcommand(1);
  app.set_version_flag("--version", "csnap " CSNAP_VERSION);
  app.add_option("--server", line.globals.server,
                 "unix:PATH or tcp:HOST:PORT; several, comma separated, are tried")
      ->envname("CSNAP_SERVER");
  app.add_option("--agent", line.globals.agent, "Socket of this node's csnap-agent, which finds the master")
      ->envname("CSNAP_AGENT");
  app.add_option("--instance", line.globals.instance, "The agent's name for the store, if it knows several")
      ->envname("CSNAP_INSTANCE");
  app.add_flag("--json", line.globals.json, "Print one JSON document");
  app.add_option("--timeout", line.globals.timeout_seconds, "Seconds to wait for the server")
      ->check(CLI::Range(1u, 86400u))
      ->capture_default_str();
  add_format_verb(app, line);
  add_snapshot_verbs(app, line);
  add_policy_verbs(app, line);
  add_list_verb(app, line);
  add_diff_verb(app, line);
  add_server_verbs(app, line);
  add_attach_verbs(app, line);
  add_agent_verbs(app, line);
  add_control_verbs(app, line);
  add_offline_verbs(app, line);
  add_restore_verb(app, line);
  add_unoffered_verbs(app, line);
}

}  // namespace
}  // namespace csnap::cli

int main(int argc, char **argv) {
  using namespace csnap::cli;
  std::signal(SIGPIPE, SIG_IGN);  // a lost server is an error to report, not a death
  CLI::App app("Snapshots of shared volumes.", "csnap");
  command_line line;
  add_verbs(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &e) {
    return app.exit(e);
  } catch (const CLI::ParseError &e) {
    return static_cast<int>(misused(std::string(e.what()) + "; see csnap --help"));
  }
  // An answer that could not be printed was not given.
  if (std::fflush(stdout) != 0 && line.status == exit_status::done) {
    print_error_line("cannot write to standard output");
    line.status = exit_status::failed;
  }
  return static_cast<int>(line.status);
}
