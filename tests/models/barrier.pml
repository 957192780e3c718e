/* SPDX-License-Identifier: BSD-3-Clause */
/* The barrier of a snapshot and the failover of its server: rules 4 to 7 and 10 of docs/architecture.md.
 *
 * One chunk. Client 0 has the volume open; client 1 opens it at any time. Each makes one origin write. The
 * server makes one snapshot, may give a barrier up once, and may crash once: what is not a durable record is
 * lost, and the successor knows sessions but not what they do. No two masters at once: the `file` election is
 * a lock of one kernel. The instant of the snapshot is its record; from then on the chunk, read through the
 * snapshot, must be what the origin held at that instant.
 *
 * Planted mistakes: NO_DRAIN  KEEP_BITMAP  SELF_THAW  LATE_ANSWER  JOIN_IN_BARRIER  OLD_ACK  OLD_EPOCH_OK
 *                   EPOCH_AT_SEND  NO_GRACE
 */
mtype = { say_hello, commit, drained, welcome, freeze, thaw, committed, refused };
chan up[2] = [2] of { mtype, byte };
chan down[2] = [3] of { mtype, byte };

byte origin, copy[2];
bit snapshot, exception;                      /* durable records */
byte content, preserved;                      /* of the snapshot at its instant; of the exception */
byte life;                                    /* how often the server crashed */
byte barriers;                                /* the number of the newest one */

/* what the server forgets in a crash */
bit on, opened[2], asked[2], drained_by[2];
bit held_back[2];                             /* an answer of epoch 0 that waits, say for a recall */

inline verify() {
  assert(!snapshot || (exception && preserved == content) || (!exception && origin == content))
}
inline tell(c, m, e) { down[c]!m,e }

#define READY_TO_SEND (len(down[0]) < 3 && len(down[1]) < 3)

inline handle(c) {
  if
  :: m == say_hello ->
     opened[c] = 1;
#ifdef JOIN_IN_BARRIER
     tell(c, welcome, snapshot)
#else
     if :: on -> asked[c] = 1; drained_by[c] = 0; tell(c, freeze, barriers)
        :: else -> tell(c, welcome, snapshot) fi
#endif
  :: m == drained ->
#ifdef OLD_ACK
     drained_by[c] = 1
#else
     if :: on && e == barriers -> drained_by[c] = 1 :: else fi
#endif
  :: m == commit ->
     if
#ifndef OLD_EPOCH_OK
     :: e != snapshot -> tell(c, refused, snapshot)
     :: e == snapshot && !snapshot -> held_back[c] = 1
     :: e == snapshot && snapshot ->
#else
     :: !snapshot -> held_back[c] = 1
     :: snapshot ->
#endif
        if :: !exception -> exception = 1; preserved = copy[c] :: else fi;
        verify(); tell(c, committed, 1)
     fi
  fi; m = 0; e = 0
}

proctype server() {
  mtype m; byte e;
  opened[0] = 1;
end: do
  :: atomic { len(down[0]) < 3 && up[0]?[m,e] -> up[0]?m,e; handle(0) }
  :: atomic { len(down[1]) < 3 && up[1]?[m,e] -> up[1]?m,e; handle(1) }
  :: atomic { held_back[0] && len(down[0]) < 3 -> held_back[0] = 0; tell(0, committed, 0) }
  :: atomic { held_back[1] && len(down[1]) < 3 -> held_back[1] = 0; tell(1, committed, 0) }
  :: atomic { (!snapshot && !on && barriers < 2 && READY_TO_SEND
#ifndef NO_GRACE
       && (life == 0 || (opened[0] && opened[1]))   /* after a crash: everybody recorded has come back */
#endif
       ) -> barriers++; on = 1;
#ifndef OLD_ACK
       drained_by[0] = 0; drained_by[1] = 0;
#endif
       asked[0] = opened[0]; asked[1] = opened[1];
       if :: asked[0] -> tell(0, freeze, barriers) :: else fi;
       if :: asked[1] -> tell(1, freeze, barriers) :: else fi }
  :: atomic { on && !snapshot && barriers < 2 && READY_TO_SEND ->   /* the deadline: given up cleanly */
       on = 0;
       if :: asked[0] -> tell(0, thaw, 0) :: else fi; if :: asked[1] -> tell(1, thaw, 0) :: else fi }
  :: atomic { on && !snapshot && (!asked[0] || drained_by[0]) && (!asked[1] || drained_by[1]) ->
       snapshot = 1; content = origin }
  :: atomic { on && snapshot && READY_TO_SEND -> on = 0;
       if :: asked[0] -> tell(0, thaw, 1) :: else fi; if :: asked[1] -> tell(1, thaw, 1) :: else fi }
  :: atomic { life == 0 -> life = 1;            /* crash: messages, barrier and sessions' state are gone */
       do :: up[0]?m,e :: empty(up[0]) -> break od; do :: up[1]?m,e :: empty(up[1]) -> break od;
       do :: down[0]?m,e :: empty(down[0]) -> break od; do :: down[1]?m,e :: empty(down[1]) -> break od;
       m = 0; e = 0; on = 0; opened[0] = 0; opened[1] = 0; asked[0] = 0; asked[1] = 0;
       drained_by[0] = 0; drained_by[1] = 0; held_back[0] = 0; held_back[1] = 0 }
  od
}

proctype client(byte c) {
  bit frozen, in_flight, unshared, wrote, owes, early;
  byte epoch, stamp, owed, met, copying, e; mtype m;
  atomic { if :: c == 1 -> frozen = 1; met = life; up[1]!say_hello,0 :: else fi }
end: do
  :: atomic { met != life && nfull(up[c]) -> met = life;   /* the connection was lost: a new hello */
       owes = 0;
       if :: copying == 2 -> copying = 1 :: else fi;        /* a commit without an answer is sent again */
#ifdef SELF_THAW
       frozen = 0;
#endif
       up[c]!say_hello,0 }
  :: atomic { !frozen && !in_flight && !wrote && (epoch == 0 || unshared) -> in_flight = 1; wrote = 1 }
  :: atomic { in_flight -> in_flight = 0; origin++; verify() }
  :: atomic { !frozen && !wrote && !unshared && copying == 0 && (epoch == 1 || (c == 1 && !early)) ->
       early = 1; copy[c] = origin; stamp = epoch; copying = 1 }
  :: atomic { copying == 1 && met == life && nfull(up[c]) ->
#ifdef EPOCH_AT_SEND
       up[c]!commit,epoch;
#else
       up[c]!commit,stamp;
#endif
       copying = 2 }
  :: atomic { (owes && met == life && nfull(up[c])
#ifndef NO_DRAIN
       && !in_flight
#endif
       ) -> owes = 0; up[c]!drained,owed }
  :: atomic { met == life && down[c]?[m,e] -> down[c]?m,e;
       if
       :: m == freeze -> frozen = 1; owes = 1; owed = e
       :: m == thaw || m == welcome ->
          if
          :: e > epoch -> epoch = e;
#ifndef KEEP_BITMAP
             unshared = 0
#endif
          :: else
          fi;
          frozen = 0; owes = 0
       :: m == committed -> copying = 0;
#ifdef LATE_ANSWER
          unshared = 1
#else
          if :: e == epoch -> unshared = 1 :: else fi
#endif
       :: m == refused -> copying = 0
       fi; m = 0; e = 0 }
  od
}

init { atomic { run server(); run client(0); run client(1) } }
