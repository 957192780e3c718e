/* SPDX-License-Identifier: BSD-3-Clause */
/* Deleting a snapshot under a reader: rule 14 of docs/architecture.md.
 *
 * Two chunks of the snapshot: one still lies in the origin, one in the store. With the snapshot dead, the
 * first is unshared (a writer overwrites it without a copy, so no recall is sent) and the second's store chunk
 * is free (somebody else's data goes there). The reader reads both, and answers the deletion or loses its lease.
 *
 * Planted mistakes: UNSHARE_AT_ONCE  FREE_AT_ONCE  ANSWER_KEEPS_READS  SPLIT_MARK  NO_LEASE_CHECK
 */
bit origin, store;                             /* contents: 0 is the snapshot's */
bit dying, unshared, freed;
bit opened = 1, lease = 1, touched;

proctype server() {
  dying = 1;                                   /* the record is durable: `csnap delete` returns */
#ifndef UNSHARE_AT_ONCE
  !opened || !lease;
#endif
  unshared = 1
}
proctype reaper() {
  dying;
#ifndef FREE_AT_ONCE
  !opened || !lease;
#endif
  freed = 1
}
proctype writer() { unshared; origin = 1 }
proctype copier() { freed; store = 1 }

proctype reader_talks() {
  if
  :: dying ->
#ifdef SPLIT_MARK
     touched = 1; opened = 0                   /* a read that begins in between is not touched */
#else
     atomic {
# ifndef ANSWER_KEEPS_READS
       touched = 1;
# endif
       opened = 0 }
#endif
  :: lease = 0
  fi
}
proctype reader_reads() {
  bit a, b; byte n;
end: do
  :: atomic { n < 2 && opened -> n++; touched = 0 }
     a = origin; b = store;
     d_step {
       if
       :: (1
#ifndef NO_LEASE_CHECK
           && lease
#endif
           && !touched) -> assert(a == 0 && b == 0)
       :: else
       fi; a = 0; b = 0 }
  :: n == 2 || !opened -> break
  od
}
init {
  atomic { run server(); run reaper(); run writer(); run copier(); run reader_talks(); run reader_reads() }
}
