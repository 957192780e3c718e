// SPDX-License-Identifier: BSD-3-Clause
//
// How often a server that ends by itself is started again: after 1, 2, 4, 8 and 16 seconds, and then not any
// more, until somebody asks for it again. One that ran for a minute was no failed start.
#pragma once

#include "metaserver/base/ids.h"

#include <cstdint>
#include <optional>

namespace csnap::agent {

class restart_rule {
 public:
  static constexpr int tries_max = 5;
  static constexpr std::int64_t good_run_ms = 60000;

  void asked_for() { tries_ = 0; }
  void started(boottime_ms now) { started_ = now; }
  // Milliseconds until it is to be started again, or none.
  std::optional<std::int64_t> ended(boottime_ms now) {
    if (now.value - started_.value >= good_run_ms) tries_ = 0;
    if (tries_ == tries_max) return std::nullopt;
    return std::int64_t{1000} << tries_++;
  }

 private:
  int tries_ = 0;
  boottime_ms started_;
};

}  // namespace csnap::agent
