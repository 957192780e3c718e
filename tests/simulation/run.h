// SPDX-License-Identifier: BSD-3-Clause
//
// One run from its seed to a verdict.
#pragma once

#include "tests/simulation/options.h"
#include "tests/simulation/planted.h"

#include <cstdint>
#include <string>

namespace csnap::simulation {

struct verdict {
  std::string checker, text;  // empty: nothing is wrong
  std::uint64_t hash = 0, events = 0, operations = 0, crashes = 0, power_cuts = 0, elections = 0, freezes = 0;
  std::uint64_t snapshot_reads = 0, snapshots = 0, errors = 0;
  bool is_at_limit = false;  // ended early: cluster.h
  bool is_void() const { return operations == 0; }
  bool failed() const { return !checker.empty(); }
};

verdict run(const run_options &options, const planted_bug *bug, bool verbose);

}  // namespace csnap::simulation
