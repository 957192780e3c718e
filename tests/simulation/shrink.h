// SPDX-License-Identifier: BSD-3-Clause
//
// Makes a failing run smaller: takes away classes of faults, nodes, servers, threads, operations and time as
// long as the same checker still complains.
#pragma once

#include "tests/simulation/run.h"

namespace csnap::simulation {

reductions shrink(std::uint64_t seed, const planted_bug *bug, const reductions &from,
                  const std::string &checker);

}  // namespace csnap::simulation
