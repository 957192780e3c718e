// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the log that follows a root. Only whole batches count. The first block that is missing ends the log,
// if it can be the torn tail of the last batch; a valid block of any batch that began later proves that the
// gap had been durable, and is an error.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/disk_format.h"

#include <functional>

namespace csnap::store {

// Called for each record in order. An error stops the reading and is returned.
using record_receiver = std::function<result<>(record_seq, std::span<const std::byte>)>;

// Gives the records after `r.covers`. Errors: io, corrupt, and the receiver's.
result<> read_log(block_device &device, const geometry &shape, const root &r, const record_receiver &receive,
                  const planted_mistakes &planted = {});

}  // namespace csnap::store
