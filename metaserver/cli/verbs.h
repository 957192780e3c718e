// SPDX-License-Identifier: BSD-3-Clause
//
// The verbs of `csnap`. Each add_... describes one or more on the command line; when a verb was typed and
// parsed, it runs and leaves its exit status.
#pragma once

#include "metaserver/cli/master_call.h"
#include "metaserver/cli/outcome.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

namespace csnap::cli {

// What all verbs share; outlives the App.
struct command_line {
  global_options globals;
  exit_status status = exit_status::done;
};

void add_snapshot_verbs(CLI::App &app, command_line &line);  // create delete rename
void add_policy_verbs(CLI::App &app, command_line &line);    // set hold release resize
void add_list_verb(CLI::App &app, command_line &line);
void add_diff_verb(CLI::App &app, command_line &line);
void add_server_verbs(CLI::App &app, command_line &line);   // status sessions
void add_agent_verbs(CLI::App &app, command_line &line);    // agent-status instance-start
void add_control_verbs(CLI::App &app, command_line &line);  // role promote demote pid fence-confirm
void add_format_verb(CLI::App &app, command_line &line);
void add_offline_verbs(CLI::App &app, command_line &line);  // check dump
void add_restore_verb(CLI::App &app, command_line &line);
void add_unoffered_verbs(CLI::App &app, command_line &line);  // known, and refused in one line

}  // namespace csnap::cli
