// SPDX-License-Identifier: BSD-3-Clause
//
// One order to a server's control socket (metaserver/server/control_socket.h), and its answer.
#pragma once

#include "metaserver/base/result.h"

#include <chrono>
#include <string>

#include <sys/types.h>

namespace csnap::cli {

// The answer behind "ok ". Errors: not_found (no server lives there), timed_out, refused (the server's reason), io.
result<std::string> give_order(const std::string &socket_path, const std::string &line,
                               std::chrono::milliseconds timeout);

// The process that listens there, as the kernel knows it: also one that is stopped, or ending. Errors:
// not_found: no process has that socket any more, so none of its threads has I/O under way; io.
result<pid_t> process_behind(const std::string &socket_path);

}  // namespace csnap::cli
