// SPDX-License-Identifier: BSD-3-Clause
//
// Opens what people call a DEVICE: a block device, a regular file, or the URI of an NBD export.
#pragma once

#include "metaserver/base/block_device.h"

#include <memory>
#include <string_view>

namespace csnap {

struct open_mode {
  bool read_only = false;
  bool exclusive = false;  // block devices: claim it, refuse one that is mounted or claimed (O_EXCL)
};

class opened_device : public block_device {
 public:
  // True when a process that is gone has no I/O in flight on this device: its death is then a proof. False
  // for NBD exports, network filesystems and whatever is not known to be local.
  virtual bool io_ends_with_process() const = 0;
};

// `where`: a path, or nbd://..., nbds://..., nbd+unix://..., nbds+unix://... No thread runs before the first
// I/O, and a device opened before fork() may be used by either process after it, but only by one of them.
// Its size is taken now, and again by measure() (of an NBD export: for good).
// Errors: not_found, refused (rights), busy (exclusive), io, invalid (neither a file nor a block device),
// unsupported (an NBD server that cannot flush, opened for writing).
result<std::unique_ptr<opened_device>> open_device(std::string_view where, open_mode mode = {});

}  // namespace csnap
