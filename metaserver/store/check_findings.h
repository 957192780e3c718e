// SPDX-License-Identifier: BSD-3-Clause
//
// What a check has found so far, bounded: a store that is damaged all over gives many lines of the same.
#pragma once

#include "metaserver/store/offline.h"

#include <algorithm>
#include <string>
#include <vector>

namespace csnap::store {

class check_findings {
 public:
  explicit check_findings(check_report &report) : report_(report) {}

  void error(std::string line) { add(report_.errors, std::move(line)); }
  void note(std::string line) { add(report_.notes, std::move(line)); }
  check_report &report() { return report_; }

 private:
  static constexpr std::size_t lines_max = 1000;
  // One damaged page may be met on several ways: it is listed once.
  static void add(std::vector<std::string> &lines, std::string line) {
    if (lines.size() > lines_max || std::find(lines.begin(), lines.end(), line) != lines.end()) return;
    lines.push_back(lines.size() < lines_max ? std::move(line) : "more of them are not listed");
  }
  check_report &report_;
};

}  // namespace csnap::store
