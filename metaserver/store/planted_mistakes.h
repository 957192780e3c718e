// SPDX-License-Identifier: BSD-3-Clause
//
// Mistakes that can be switched on, so that the tests can show that they would find them. Each is one line at
// the place where the right thing is done otherwise, and is named as in docs/testing.md.
#pragma once

#include <string>
#include <vector>

namespace csnap::store {

struct planted_mistakes {
  bool checksum_ignored{};       // a block with a wrong checksum is used
  bool address_ignored{};        // a block's own number is not looked at
  bool stale_page_ok{};          // a page's term and generation need not be those of its pointer
  bool no_flush_before_root{};   // takeover: the first root is written before its pages are flushed
  bool recovery_not_flushed{};   // takeover: serves before its first root is durable
  bool reuse_before_durable{};   // chunks and pages are given out before what freed them is durable
  bool root_by_sequence_only{};  // the newest root is the one with the highest generation, of any term
  bool tail_hides_corruption{};  // the log ends at the first bad block, whatever follows
  bool split_loses_right{};      // a split page's right half is not entered above it
  bool ack_before_write{};       // what was appended counts as durable at once
  bool mirror_not_written{};     // a slot is written once, not twice
  bool dead_areas_at_once{};     // pages are allocated in areas of predecessors that may still write
  bool claims_not_compared{};    // two masters that claim at one time keep what both claimed
  bool replay_first{};           // takeover: the logs are read before the own term is written

  // Precondition: every name is one of the above.
  static planted_mistakes parse(const std::vector<std::string> &names);
  // All names, for the test that must find each.
  static std::vector<std::string> names();
};

}  // namespace csnap::store
