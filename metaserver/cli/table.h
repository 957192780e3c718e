// SPDX-License-Identifier: BSD-3-Clause
//
// What people read: aligned columns, and ages instead of dates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace csnap::cli {

class table {
 public:
  enum class align { left, right };
  struct column {
    std::string title;
    align side = align::left;
  };
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  // Precondition: one cell for each column.
  void add(std::vector<std::string> cells);
  // The heading and all rows, without blanks at the ends of lines.
  std::string text() const;

 private:
  std::string row_text(const std::vector<std::string> &cells, const std::vector<std::size_t> &widths) const;

  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "just now", "5 min ago", "3 days ago"; a moment in the future counts as now.
std::string age_text(std::int64_t then_unix_ms, std::int64_t now_unix_ms);
// "2 h 5 min"
std::string duration_text(std::int64_t seconds);
std::int64_t unix_ms_now();

}  // namespace csnap::cli
