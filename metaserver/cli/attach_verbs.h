// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "metaserver/cli/verbs.h"

namespace csnap::cli {

void add_attach_verbs(CLI::App &app, command_line &line);  // attach detach

}  // namespace csnap::cli
