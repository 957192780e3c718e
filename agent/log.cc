// SPDX-License-Identifier: BSD-3-Clause
#include "agent/log.h"

#include <cstdio>
#include <cstdlib>

namespace csnap::agent {

std::string printable(const std::string &text) {
  std::string out;
  for (const char c : text) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

void log(urgency how, const std::string &text) {
  static const bool to_journal = std::getenv("JOURNAL_STREAM") != nullptr;
  std::string line = to_journal ? "<" + std::to_string(static_cast<int>(how)) + ">" : std::string();
  line += "csnap-agent: " + printable(text) + "\n";
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace csnap::agent
