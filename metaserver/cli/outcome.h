// SPDX-License-Identifier: BSD-3-Clause
//
// How a verb ends: an exit status, and for a failure one line on stderr.
#pragma once

#include "metaserver/base/result.h"

#include <string>

namespace csnap::cli {

enum class exit_status : int { done = 0, failed = 1, wrong_usage = 2 };

// "csnap: TEXT"; what is not printable is replaced.
void print_error_line(const std::string &text);
exit_status failed(const error &why);
exit_status misused(const std::string &what);

}  // namespace csnap::cli
