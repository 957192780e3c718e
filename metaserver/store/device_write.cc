// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/engine.h"

namespace csnap::store {

result<> run_writes(block_device &device, std::span<const device_write> writes, durability how) {
  for (const device_write &w : writes) {
    auto done = device.write(w.offset_bytes, w.bytes, how);
    if (!done) return done;
  }
  return {};
}

}  // namespace csnap::store
