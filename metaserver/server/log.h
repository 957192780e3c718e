// SPDX-License-Identifier: BSD-3-Clause
//
// The server's log: one line each on stderr, in one write, so that lines of several threads never mix. Under
// systemd each begins with its priority.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <string>

namespace csnap::server {

enum class log_level { failure = 3, warning = 4, info = 6 };  // syslog's numbers
void set_log_level(log_level least_urgent);
result<log_level> parse_log_level(const std::string &name);

// Text may come from a peer: what is not printable is replaced.
void log(log_level level, const std::string &text);

// A write of log, pages or root failed: nothing may be acknowledged any more, not even from another thread,
// and no destructor may write anything. The next server reads what is really there.
[[noreturn]] void stop_at_once(const std::string &what, const error &why);

// For what a peer can cause at will: at most `lines_max` lines in each window; the rest are counted.
class limited_log {
 public:
  void warn(const std::string &text, std::int64_t now_ms);
  // The decision alone: does a line at this time go out, and how many were left out before it?
  bool allows(std::int64_t now_ms, std::uint64_t *left_out);

  static constexpr int lines_max = 20;
  static constexpr std::int64_t window_ms = 10000;

 private:
  std::int64_t window_begin_ = 0;
  int lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace csnap::server
