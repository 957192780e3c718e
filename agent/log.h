// SPDX-License-Identifier: BSD-3-Clause
//
// The agent's log: one line each on stderr. Under systemd each begins with its priority.
#pragma once

#include <string>

namespace csnap::agent {

enum class urgency { failure = 3, warning = 4, info = 6 };  // syslog's numbers

// What is not printable is replaced.
std::string printable(const std::string &text);
// Text may come from a peer: it is made printable.
void log(urgency how, const std::string &text);

}  // namespace csnap::agent
