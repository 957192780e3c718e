// SPDX-License-Identifier: BSD-3-Clause
//
// Mistakes of the server's edge that the simulator switches on to see that it finds them (docs/testing.md).
// All off in production.
#pragma once

namespace csnap::server {

struct planted_mistakes {
  bool heard_before_durable = false;  // a batch counts as durable while it is being written
  bool log_only_cached = false;       // log blocks are written without FUA
  bool root_only_cached = false;      // so is the root
  bool pages_unflushed = false;      // the root is written while its pages may still be in the device's cache
  bool root_without_mirror = false;  // the second copy of the slot keeps an older root
  bool failed_log_ignored = false;   // a failed write of the log is taken for a good one
  bool failed_pages_ignored = false;  // so is a failed write or flush of pages
  bool unproved = false;              // answers without reading the term again, though the election can split
  bool reuse_unproved = false;  // pages are used again without a look for a successor, who may need them
  bool proof_before = false;    // a read of the term that began before the decision counts
};

}  // namespace csnap::server
