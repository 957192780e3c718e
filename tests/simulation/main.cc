// SPDX-License-Identifier: BSD-3-Clause
//
// simulation [--seed N] [--count N] [--jobs N] [--planted NAME] [--planted-all] [--without FAULT] ...
#include "tests/simulation/command_line.h"

int main(int count, char **arguments) { return csnap::simulation::run_command_line(count, arguments); }
