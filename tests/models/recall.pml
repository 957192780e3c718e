/* SPDX-License-Identifier: BSD-3-Clause */
/* Copy-out against delegated snapshot reads: rules 1 to 3 of docs/architecture.md.
 *
 * One chunk (origin content 0, which the one snapshot must keep reading), two writers that race to copy it
 * out and then overwrite it, one reader with a delegation, one server. The reader is two processes, as in a real
 * client: one reads, the other handles messages. It may lose its connection once and its lease once.
 * Bounds: one read that completes, one lapse, one reconnect. Not here: server crashes (barrier.pml), reuse of
 * store chunks (reservation.pml).
 *
 * Planted mistakes: ANSWER_BEFORE_RECALL  LOSER_AT_ONCE  HOLDERS_BEFORE_DURABLE  NO_RECHECK  NO_LEASE_CHECK
 *                   VOID_AT_WELCOME  RENEW_EXPIRED  DROP_KEEPS_READS
 */
#define NONE 0
#define QUEUED 1
#define DURABLE 2
#define UNKNOWN 0
#define ORIGIN 1
#define STORE 2

mtype = { ask_map, say_hello, recalled, ask_renewal, dropped };
mtype = { mapped, recall, welcome, renewed, gone };

chan to_server = [3] of { mtype };
chan to_reader = [4] of { mtype, byte };     /* byte: a place, or the era of a lease */
chan commits = [2] of { byte };

bit origin, copy;                            /* contents; both begin as 0, the snapshot's */
byte record = NONE;
bit waits[2], answered[2];                   /* of the writers' commits */
bit holder, held_when_queued, recalling, settled, map_waits;
bit server_lease = 1, reader_lease = 1;
byte era;                                    /* a lease granted before an expiry is over when it arrives */
byte place = UNKNOWN;                        /* the reader's map */
bit touched, mapping, greeting, renewing, lapsed, reconnected, has_dropped, has_read;

proctype writer(byte w) {
  bit seen;
  atomic { seen = origin; commits!w }        /* the copy is in w's own store chunk, durably */
  answered[w] == 1;
  atomic { assert(record == DURABLE && copy == 0); origin = 1 }
}

inline settle() { if :: recalling -> recalling = 0; holder = 0; settled = 1 :: else fi }

proctype server() {
  byte w; mtype m;
end: do
  :: atomic { commits?w ->
       if
       :: record == NONE -> record = QUEUED; copy = 0; held_when_queued = holder; waits[w] = 1
       :: else ->
#ifdef LOSER_AT_ONCE
          answered[w] = 1
#else
          waits[w] = 1
#endif
       fi; w = 0 }
  :: atomic { record == QUEUED -> record = DURABLE;
#ifdef HOLDERS_BEFORE_DURABLE
       if :: held_when_queued -> recalling = 1; to_reader!recall,STORE :: else -> settled = 1 fi;
#else
       if :: holder -> recalling = 1; to_reader!recall,STORE :: else -> settled = 1 fi;
#endif
       if :: map_waits -> map_waits = 0; to_reader!mapped,STORE :: else fi }
#ifdef ANSWER_BEFORE_RECALL
  :: atomic { record == DURABLE && !settled -> settled = 1 }
#endif
  :: atomic { settled && waits[0] -> waits[0] = 0; answered[0] = 1 }
  :: atomic { settled && waits[1] -> waits[1] = 0; answered[1] = 1 }
  :: atomic { server_lease && !reader_lease && era == 0 ->  /* over here only after it is over there */
       server_lease = 0; era++; holder = 0; settle() }
  :: atomic { to_server?m ->
       if
       :: m == ask_map && !server_lease -> to_reader!gone,0
       :: m == ask_map && server_lease ->
          if
          :: record == NONE -> holder = 1; to_reader!mapped,ORIGIN
          :: record == DURABLE -> to_reader!mapped,STORE
          :: record == QUEUED ->
#ifdef HOLDERS_BEFORE_DURABLE
             holder = 1; to_reader!mapped,ORIGIN
#else
             map_waits = 1
#endif
          fi
       :: m == recalled -> settle()
       :: m == dropped -> holder = 0; settle()
       :: m == say_hello -> server_lease = 1; holder = 0; map_waits = 0; settle(); to_reader!welcome,era
       :: m == ask_renewal ->
#ifdef RENEW_EXPIRED
          server_lease = 1; to_reader!renewed,era
#else
          if :: server_lease -> to_reader!renewed,era :: else -> to_reader!gone,0 fi
#endif
       fi; m = 0 }
  od
}

proctype reader_reads() {
  byte p; bit value;
end: do
  :: !has_read ->
     atomic { place != UNKNOWN && !greeting -> p = place; touched = 0 }
     atomic { if :: p == ORIGIN -> value = origin :: else -> value = copy fi }
     d_step {                                /* the check and the completion are one critical section */
       if
       :: (1
#ifndef NO_LEASE_CHECK
           && reader_lease
#endif
#ifndef NO_RECHECK
           && !touched
#endif
          ) -> assert(value == 0); has_read = 1
       :: else
       fi; p = 0; value = 0 }
  :: has_read -> break
  od
}

inline void_delegation() { place = UNKNOWN; touched = 1; mapping = 0 }

proctype reader_talks() {
  mtype m; byte v;
end: do
  :: atomic { place == UNKNOWN && !mapping && !greeting && !has_read && nfull(to_server) ->
       mapping = 1; to_server!ask_map }
  :: atomic { place == ORIGIN && !has_dropped && !greeting && nfull(to_server) ->
       has_dropped = 1; place = UNKNOWN;
#ifndef DROP_KEEPS_READS
       touched = 1;
#endif
       to_server!dropped }
  :: atomic { !reader_lease && !renewing && !greeting && !has_read && nfull(to_server) ->
       renewing = 1; to_server!ask_renewal }
  :: atomic { !reconnected && !greeting -> reconnected = 1;    /* what was under way is lost */
       do :: to_server?m :: empty(to_server) -> break od;
       do :: to_reader?m,v :: empty(to_reader) -> break od; m = 0; v = 0;
       mapping = 0; renewing = 0;
#ifndef VOID_AT_WELCOME
       void_delegation();
#endif
       greeting = 1; to_server!say_hello }
  :: atomic { to_reader?m,v ->
       if
       :: m == mapped -> if :: mapping -> place = v; mapping = 0 :: else fi
       :: m == recall -> if :: place == ORIGIN -> place = v :: else fi; touched = 1; to_server!recalled
       :: m == welcome || m == renewed ->
          renewing = 0; if :: v == era -> reader_lease = 1 :: else fi;
          if :: m == welcome -> greeting = 0;
#ifdef VOID_AT_WELCOME
                void_delegation()
#endif
             :: else fi
       :: m == gone -> renewing = 0;
          if :: !greeting -> void_delegation(); greeting = 1; to_server!say_hello :: else fi
       fi; m = 0; v = 0 }
  od
}

proctype clock() { atomic { if :: reader_lease = 0; lapsed = 1 :: skip fi } }

init {
  atomic { run writer(0); run writer(1); run server(); run reader_reads(); run reader_talks(); run clock() }
}
