// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace csnap::simulation {

// The exit status: 0 all is right, 1 something was found (or a planted mistake was not), 2 wrong usage.
int run_command_line(int count, char **arguments);

}  // namespace csnap::simulation
