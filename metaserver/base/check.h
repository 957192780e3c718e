// SPDX-License-Identifier: BSD-3-Clause
//
// check(): for our own bugs only. Always on, also in release builds: a wrong answer is worse than a
// restart. What the world does (disk, network, peer, user) is a `result`, never a check.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace csnap {

[[noreturn]] inline void check_failed(const std::source_location &where, const char *what) {
  std::fprintf(stderr, "csnap: bug: check failed at %s:%u (%s): %s\n", where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name(), what);
  std::abort();
}

// Aborts with the caller's position unless `ok`.
inline void check(bool ok, const char *what = "",
                  const std::source_location &where = std::source_location::current()) {
  if (!ok) [[unlikely]]
    check_failed(where, what);
}

// For a place that no correct execution reaches.
[[noreturn]] inline void unreachable(const char *what = "unreachable",
                                     const std::source_location &where = std::source_location::current()) {
  check_failed(where, what);
}

}  // namespace csnap
