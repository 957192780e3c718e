// SPDX-License-Identifier: BSD-3-Clause
//
// Many seeds: child processes run a batch each, so that memory goes back and a crash of one is only a finding.
#pragma once

#include "tests/simulation/probe_list.h"
#include "tests/simulation/run.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace csnap::simulation {

struct seed_totals {
  std::uint64_t seeds = 0, voids = 0, replayed = 0, events = 0, operations = 0, crashes = 0, power_cuts = 0;
  std::uint64_t elections = 0, freezes = 0, snapshot_reads = 0, snapshots = 0, errors = 0, limits = 0;
};

struct finding {
  std::uint64_t seed = 0;
  std::string checker, text;
};

struct range_result {
  seed_totals totals;
  std::array<std::uint64_t, probe_count> probes{};
  std::vector<finding> findings;  // by seed
};

struct range_request {
  std::uint64_t first = 1, count = 1;
  unsigned jobs = 1;
  const planted_bug *bug = nullptr;
  std::optional<weather> only;  // seeds of other weathers are passed over
  reductions reduced;
  std::size_t findings_max = 1;                    // then no further batch is begun
  std::function<bool(const seed_totals &)> go_on;  // asked between batches; may be empty
};

range_result run_range(const range_request &request);

}  // namespace csnap::simulation
