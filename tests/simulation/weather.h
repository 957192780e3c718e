// SPDX-License-Identifier: BSD-3-Clause
//
// What a run aims at. More than a fifth of the seeds draw everything alike; each of the others makes a few rare
// things meet, that seldom do by chance: a long read over a cut link and a takeover, a crash at a certain write, ...
#pragma once

#include "tests/simulation/prng.h"

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace csnap::simulation {

struct run_options;

enum class weather : std::uint8_t {
  mixed,
  isolation,         // a reader is cut off while others write, and servers end
  tiny_store,        // writers are cut off and come back, and every store chunk is soon used again
  failing_metadata,  // writes and flushes of the metadata fail, and servers end at a certain write
  power_at_write,    // the power fails at a certain write of the metadata
  killed_writers,    // and the power fails after the next snapshot
  rot,               // one copy of a block is damaged, and servers end
  split,             // masters that do not know that they are not
  // From here on drawn anew, in place of some of the mixed ones.
  late_freezes,   // barriers are given up before the answer of a node far away comes
  late_recalls,   // a reader is far away, and writers lose their connections while they wait for it
  late_leases,    // a reader is told late that its lease was renewed, or who it is
  slow_log,       // the metadata are slow, and servers end
  long_sleepers,  // nodes sleep for longer than their leases, and others need the chunks
  usurpers,       // masters are elected while another takes over, and reads take long
  full_store,     // the store is full; policies, holds and priorities change, and it is enlarged
  stray_writes,   // writes of metadata are lost or land elsewhere
  lost_answers,   // what a writer is told is lost, and the chunks that it is about are soon used again
  few_maps,       // maps are dropped while what they say is read, slowly
};
inline constexpr const char *weather_names[] = {
    "mixed",         "isolation", "tiny_store",   "failing_metadata", "power_at_write", "killed_writers",
    "rot",           "split",     "late_freezes", "late_recalls",     "late_leases",    "slow_log",
    "long_sleepers", "usurpers",  "full_store",   "stray_writes",     "lost_answers",   "few_maps"};
inline constexpr std::size_t weather_first_drawn_count = static_cast<std::size_t>(weather::late_freezes);
inline constexpr std::size_t weather_count = std::size(weather_names);

weather weather_of_seed(std::uint64_t seed);
// Changes what was drawn for a mixed run.
void make_weather(run_options &o, weather what);

}  // namespace csnap::simulation
