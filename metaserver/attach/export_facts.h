// SPDX-License-Identifier: BSD-3-Clause
//
// What a server says of an export at the handshake, and whether a device may go on with it after a reconnect.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <string>

namespace csnap::attach {

struct export_facts {
  std::uint64_t size_bytes = 0;
  std::uint16_t flags = 0;  // NBD's transmission flags, which the kernel is given as they are
  std::string description;

  bool is_read_only() const;
  bool takes_several_connections() const;
};

// A filesystem on the device relies on what it saw when it was attached. Errors: refused, saying what differs.
result<> is_the_same_export(const export_facts &attached, const export_facts &now);

}  // namespace csnap::attach
