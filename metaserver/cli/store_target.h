// SPDX-License-Identifier: BSD-3-Clause
//
// The devices that `csnap format`, `restore` or `check --repair` is about to write, and every reason not to.
#pragma once

#include "metaserver/device/open_device.h"
#include "metaserver/election/store_lock.h"

#include <memory>
#include <optional>
#include <string>

namespace csnap::cli {

bool is_nbd(const std::string &where);
// As nodes elsewhere can use it: a path from the root, a URI unchanged.
std::string full_name(const std::string &where);
// Do both names mean one device? Of two NBD exports only the text is known.
bool is_same_device(const std::string &a, const std::string &b);

// One device to be overwritten. Its lock is held as long as this lives, so that no server becomes the master
// of what is being made.
struct store_target {
  std::string name;
  std::unique_ptr<opened_device> device;
  std::optional<store_lock> lock;
  std::string destroys;  // one line about the store that is there now; empty: none
};
// Whatever it holds. Errors: busy (in use, or a server runs on it; no --force helps), those of open_device().
result<store_target> claim_device(const std::string &where);
// Errors: as above, and exists (holds a store, and not `force`).
result<store_target> claim_target(const std::string &where, bool force);

}  // namespace csnap::cli
