// SPDX-License-Identifier: BSD-3-Clause
//
// Mistakes that tests switch on to see that they are found (docs/testing.md). All off in production.
#pragma once

#include "metaserver/base/check.h"

#include <string>
#include <utility>
#include <vector>

namespace csnap::client {

struct planted_mistakes {
  bool keep_bitmap{};        // the unshared bitmap is kept over an epoch (rule 5)
  bool late_answer{};        // an answer of an older epoch sets its bits (rule 5)
  bool no_drain{};           // a barrier is answered with writes in flight (rule 4)
  bool self_thaw{};          // a lost connection thaws (rule 7)
  bool epoch_at_send{};      // a commit carries the epoch of its sending, not of the copy's start (rule 5)
  bool no_recheck{};         // a read completes whatever happened since it began
  bool drop_keeps_reads{};   // a dropped delegation still completes reads
  bool void_at_welcome{};    // delegations are voided at the welcome, not before the hello (rule 3)
  bool no_lease_check{};     // the lease is always valid
  bool lease_from_answer{};  // the lease is counted from the answer, not from the sending
  bool gone_keeps_reads{};   // a read of a deleted snapshot that is in flight completes (rule 14)
  bool split_mark{};         // a deleted snapshot ends the reads in flight, but lets others begin (rule 14)
  bool client_decides{};     // "no answer, so it was not committed" (rule 12)

  static planted_mistakes parse(const std::vector<std::string> &names) {
    planted_mistakes p;
    const std::pair<const char *, bool *> known[] = {{"keep_bitmap", &p.keep_bitmap},
                                                     {"late_answer", &p.late_answer},
                                                     {"no_drain", &p.no_drain},
                                                     {"self_thaw", &p.self_thaw},
                                                     {"epoch_at_send", &p.epoch_at_send},
                                                     {"no_recheck", &p.no_recheck},
                                                     {"drop_keeps_reads", &p.drop_keeps_reads},
                                                     {"void_at_welcome", &p.void_at_welcome},
                                                     {"no_lease_check", &p.no_lease_check},
                                                     {"lease_from_answer", &p.lease_from_answer},
                                                     {"gone_keeps_reads", &p.gone_keeps_reads},
                                                     {"split_mark", &p.split_mark},
                                                     {"client_decides", &p.client_decides}};
    for (const std::string &name : names) {
      bool found = false;
      for (const auto &[text, flag] : known)
        if (name == text) *flag = found = true;
      check(found, "no such planted mistake");
    }
    return p;
  }
};

}  // namespace csnap::client
