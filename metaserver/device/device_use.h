// SPDX-License-Identifier: BSD-3-Clause
//
// Who else uses a device, so that format can refuse to overwrite what is in use and say why.
#pragma once

#include "metaserver/base/result.h"

#include <string_view>

namespace csnap {

// Errors: busy, whose text names the use (mounted on ..., held by ..., swap, attached to /dev/loopN);
// otherwise those of open_device(). Nothing can be known about an NBD export: it counts as unused.
result<> check_unused(std::string_view where);

}  // namespace csnap
