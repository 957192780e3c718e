// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/log.h"

#include <atomic>
#include <cstdlib>
#include <utility>

#include <unistd.h>

namespace csnap::server {
namespace {

std::atomic<log_level> least_urgent_shown{log_level::info};

}  // namespace

void set_log_level(log_level least_urgent) { least_urgent_shown = least_urgent; }

result<log_level> parse_log_level(const std::string &name) {
  if (name == "error") return log_level::failure;
  if (name == "warning") return log_level::warning;
  if (name == "info") return log_level::info;
  return fail(errc::invalid, "log level '" + name + "' is not known: use error, warning or info");
}

void log(log_level level, const std::string &text) {
  if (level > least_urgent_shown.load()) return;
  static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  std::string line = journal ? "<" + std::to_string(static_cast<int>(level)) + ">" : std::string();
  line += "csnap-metaserver: ";
  for (const char c : text) line += c >= ' ' && c <= '~' ? c : '?';
  line += '\n';
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // nobody is left to tell
}

void stop_at_once(const std::string &what, const error &why) {
  log(log_level::failure, what + ": " + why.text + "; stopping, nothing more is acknowledged");
  ::_exit(1);
}

bool limited_log::allows(std::int64_t now_ms, std::uint64_t *left_out) {
  if (lines_ == 0 || now_ms - window_begin_ >= window_ms) window_begin_ = now_ms, lines_ = 0;
  if (lines_ >= lines_max) {
    ++left_out_;
    return false;
  }
  ++lines_;
  *left_out = std::exchange(left_out_, 0);
  return true;
}

void limited_log::warn(const std::string &text, std::int64_t now_ms) {
  std::uint64_t left_out = 0;
  if (!allows(now_ms, &left_out)) return;
  log(log_level::warning,
      left_out == 0 ? text : text + " (" + std::to_string(left_out) + " lines left out before)");
}

}  // namespace csnap::server
