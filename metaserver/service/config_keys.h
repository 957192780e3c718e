// SPDX-License-Identifier: BSD-3-Clause
//
// The keys of a store's configuration, and what each takes. They are those of all programs that read the file, so
// that a mistake is found by the first of them, whichever that is. csnap.conf(5) describes them.
#pragma once

#include <string>
#include <string_view>

namespace csnap::service {

struct config_key {
  std::string_view name;
  std::string expected;  // after "name = "
  bool (*takes)(std::string_view value);
  bool repeats = false;
};

// Null: not known. "device.NAME" is known for each valid NAME.
const config_key *find_config_key(std::string_view name);

}  // namespace csnap::service
