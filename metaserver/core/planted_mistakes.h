// SPDX-License-Identifier: BSD-3-Clause
//
// Mistakes that can be switched on, so that the tests can show that they would find them. Each is one line at
// the place where the right thing is done otherwise, and is named as in docs/testing.md.
#pragma once

#include <string>
#include <vector>

namespace csnap::core {

struct planted_mistakes {
  bool loser_at_once{};           // who lost a race is answered before the winner's copy is safe
  bool no_recall_wait{};          // copy-outs are answered before their recalls are
  bool holders_early{};           // holders when the record is queued, and maps as before until it is durable
  bool place_before_durable{};    // maps show exceptions that a crash could still undo
  bool renew_expired{};           // an expired lease is renewed without a hello
  bool old_epoch_ok{};            // a copy of an older epoch is accepted
  bool old_ack{};                 // the answer to any barrier counts
  bool join_in_barrier{};         // who opens a volume during a barrier is let through
  bool not_idempotent{};          // a commit sent again is not recognized, and its chunk handed back
  bool offer_unchecked{};         // whose reservation a commit names is not looked at
  bool free_at_once{};            // a deleted snapshot is dead while it is still being read
  bool welcome_never_lost{};      // a hello that is said again opens a second session
  bool forget_requests{};         // an administrator's request that was carried out is carried out again
  bool no_grace{};                // after a takeover nobody is waited for (rule 10)
  bool reuse_by_time{};           // what an expired session had reserved is given to others (rule 13)
  bool epoch_first{};             // a commit sent again meets the question about its epoch first (rule 12)
  bool dying_unshared{};          // a deleted snapshot does not count for sharing at once (rule 14)
  bool lease_without_margin{};    // the server's lease ends when the client's does, if their clocks agree
  bool expired_not_awaited{};     // an expired writer is not waited for
  bool dead_not_flushed{};        // nobody flushes what a killed writer had completed
  bool sacrifice_at_once{};       // a snapshot that is given up is dead while it is still being read
  bool answer_before_durable{};   // answers do not wait for their record
  bool copy_after{};              // the last copy of a chunk counts, not the first
  bool any_reservation{};         // a commit's reservation is not compared, only its session (rule 11)
  bool reserve_before_durable{};  // chunks are granted before a crash cannot take that back (rule 11)
  bool short_grace{};             // a master waits for a lease shorter than those that were granted (rule 10)
  bool bitmap_in_grace{};         // "unshared" is said during grace (rule 10)
  bool sacrifice_held{};          // a held snapshot is given up, too
  bool sacrifice_newest{};        // of the snapshots that may be given up the last in order is
  bool sacrifice_any_volume{};    // whether a volume's owner gives snapshots up is not asked
  bool lost_waits_kept{};         // who lost the connection goes on waiting for room
  bool resize_wakes_nobody{};     // those who wait for room are looked at again when the reaper freed some

  // Precondition: every name is one of the above.
  static planted_mistakes parse(const std::vector<std::string> &names);
};

}  // namespace csnap::core
