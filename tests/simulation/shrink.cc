// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/shrink.h"

#include "tests/simulation/seed_range.h"

#include <algorithm>
#include <cstdio>

namespace csnap::simulation {
namespace {

// In a child process: a run that fails may end in a crash.
bool still_fails(std::uint64_t seed, const planted_bug *bug, const reductions &how,
                 const std::string &checker) {
  range_request request;
  request.first = seed;
  request.bug = bug;
  request.reduced = how;
  const auto result = run_range(request);
  return !result.findings.empty() && result.findings.front().checker == checker;
}

}  // namespace

reductions shrink(std::uint64_t seed, const planted_bug *bug, const reductions &from,
                  const std::string &checker) {
  reductions best = from;
  const auto try_it = [&](const reductions &candidate) {
    if (!still_fails(seed, bug, candidate, checker)) return false;
    best = candidate;
    std::printf("  still fails with%s\n", best.arguments().c_str());
    std::fflush(stdout);
    return true;
  };
  for (bool better = true; better;) {
    better = false;
    const run_options now = best.options(seed);
    for (const fault f : now.faults) {
      reductions candidate = best;
      candidate.without.insert(f);
      better = try_it(candidate) || better;
    }
    const auto less = [&](unsigned reductions::*which, unsigned current) {
      for (unsigned value = current / 2; value >= 1 && value < current;
           value = value + (current - value + 1) / 2) {
        reductions candidate = best;
        candidate.*which = value;
        if (try_it(candidate)) {
          better = true;
          return;
        }
        if (value + 1 >= current) return;
      }
    };
    less(&reductions::nodes, now.nodes), less(&reductions::servers, now.servers);
    less(&reductions::volumes, now.volumes), less(&reductions::threads, now.threads_per_node);
    less(&reductions::operations, now.operations_max);
    for (nanoseconds d = now.duration / 2; d > millisecond && d < now.duration - 10 * millisecond;
         d += (now.duration - d) / 2) {
      reductions candidate = best;
      candidate.duration_ms = d / millisecond;
      if (try_it(candidate)) {
        better = true;
        break;
      }
    }
  }
  return best;
}

}  // namespace csnap::simulation
