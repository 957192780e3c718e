// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of mastership (rule 9): is the term that we took still the highest one on the store?
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/geometry.h"

namespace csnap::store {

// The highest term that any node has claimed. It proves something only if it was read after the request whose
// answer rests on it came in; one read serves all requests that came in before it. Normally one device read
// (128 KiB for 8 nodes). Blocks; may run beside the engine's jobs, on any thread: it shares no state with it.
// The device must really ask the disk: a page cache of this host knows nothing of another host's writes.
// Errors: io, corrupt (both copies of a slot), unsupported. None of them is proof: stop serving.
result<term_id> newest_term(block_device &metadata, const geometry &shape);

}  // namespace csnap::store
