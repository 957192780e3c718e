// SPDX-License-Identifier: BSD-3-Clause
//
// sometimes("name"): a path that a good set of seeds must have taken. The counters are in memory that all
// worker processes share; a probe that is never hit over the whole range fails the suite (probe_list.h has
// all of them).
#pragma once

#include "tests/simulation/probe_list.h"

#include <cstdint>

namespace csnap::simulation {

namespace probes {
// Where counts go; null: nowhere.
extern std::uint64_t *counts;
}  // namespace probes

inline void sometimes(probe which) {
  if (probes::counts != nullptr) ++probes::counts[static_cast<unsigned>(which)];
}
inline void sometimes(probe which, bool happened) {
  if (happened) sometimes(which);
}

}  // namespace csnap::simulation
