// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/table.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace csnap::cli {

void table::add(std::vector<std::string> cells) {
  check(cells.size() == columns_.size(), "a table's row has another number of cells than columns");
  rows_.push_back(std::move(cells));
}

std::string table::row_text(const std::vector<std::string> &cells,
                            const std::vector<std::size_t> &widths) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string blanks(widths[i] - cells[i].size(), ' ');
    if (i > 0) line += "  ";
    line += columns_[i].side == align::left ? cells[i] + blanks : blanks + cells[i];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string table::text() const {
  std::vector<std::string> titles;
  for (const column &each : columns_) titles.push_back(each.title);
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(titles[i].size());
    for (const auto &row : rows_) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out = row_text(titles, widths);
  for (const auto &row : rows_) out += row_text(row, widths);
  return out;
}

std::string duration_text(std::int64_t seconds) {
  const auto part = [](std::int64_t count, const char *unit) { return std::to_string(count) + " " + unit; };
  if (seconds < 60) return part(std::max<std::int64_t>(seconds, 0), "s");
  if (seconds < 3600) return part(seconds / 60, "min");
  if (seconds < 86400) return part(seconds / 3600, "h") + " " + part(seconds % 3600 / 60, "min");
  return part(seconds / 86400, "d") + " " + part(seconds % 86400 / 3600, "h");
}

std::string age_text(std::int64_t then_unix_ms, std::int64_t now_unix_ms) {
  const std::int64_t seconds = (now_unix_ms - then_unix_ms) / 1000;
  const auto ago = [](std::int64_t count, const char *one, const char *many) {
    return std::to_string(count) + " " + (count == 1 ? one : many) + " ago";
  };
  if (seconds < 1) return "just now";
  if (seconds < 60) return ago(seconds, "s", "s");
  if (seconds < 3600) return ago(seconds / 60, "min", "min");
  if (seconds < 86400) return ago(seconds / 3600, "hour", "hours");
  return ago(seconds / 86400, "day", "days");
}

std::int64_t unix_ms_now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace csnap::cli
