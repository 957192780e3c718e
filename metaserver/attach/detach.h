// SPDX-License-Identifier: BSD-3-Clause
//
// Gives a device back that `csnap attach` set up, whether or not its supervisor lives.
#pragma once

#include "metaserver/base/result.h"

#include <cstdint>
#include <string>

namespace csnap::attach {

// The device that is meant by "/dev/nbdN" or by an export's name. Errors: not_found, invalid.
result<std::uint32_t> find_device(const std::string &typed);

// Forced: also one that is mounted; what is not written yet is lost. Errors: busy, not_found, io.
result<> detach_device(std::uint32_t index, bool forced);

}  // namespace csnap::attach
