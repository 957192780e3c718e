// SPDX-License-Identifier: BSD-3-Clause
//
// Connects to an NBD server and takes an export, and gives the connected socket away: from then on the kernel speaks on
// it. The handshake is libnbd's.
#pragma once

#include "metaserver/attach/export_facts.h"
#include "metaserver/attach/owned_fd.h"
#include "metaserver/base/result.h"

#include <chrono>
#include <string>

namespace csnap::attach {

struct nbd_place {
  std::string uri;  // of the server; an export that it names is not looked at
  std::string export_name;
};

struct negotiated {
  owned_fd socket;
  export_facts facts;
};

// The URI of a server that people type: a URI stays as it is, and a path is a Unix socket's. Errors: invalid, also
// for TLS, which the kernel does not speak.
result<std::string> server_uri(const std::string &typed);

// Errors: not_found (no such export; the text names those there are), timed_out, io, shutting_down (stop_fd became
// readable). stop_fd may be -1.
result<negotiated> take_export(const nbd_place &place, std::chrono::milliseconds patience, int stop_fd);

}  // namespace csnap::attach
