/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may write a store chunk, and when it may be used again: rules 11 to 13 of docs/architecture.md.
 *
 * One store chunk. Client A copies origin chunk 1 (content 1), later chunk 2, into what it has reserved, and
 * commits; its connection may be lost twice, it may vanish once with a write in flight (which then lands at
 * any time) and come back. Client B takes the chunk whenever it is free and puts content 3 there. Exceptions are
 * reaped at any time, the epoch moves once. The store chunk must always hold what its owner says.
 *
 * Planted mistakes: EPOCH_FIRST  NOT_IDEMPOTENT  CLIENT_DECIDES  FORGOTTEN_AT_FAILOVER  REUSE_BY_TIME
 *                   SAME_IDS  UNCHECKED  RETURN_WITH_IO
 */
#define FREE 0
#define RESERVED_A 1
#define RESERVED_B 2
#define OWNED 3
#define IN_DOUBT 4                       /* reserved by a session that vanished, without proof */

mtype = { used, back, taken };
chan commits = [1] of { byte, byte, byte };      /* origin chunk, epoch, reservation */
chan answers = [1] of { mtype };
chan grants = [1] of { byte };                   /* reservation */

byte state = FREE;                               /* durable */
byte owner, owner_epoch;                         /* OWNED: the exception (origin chunk, epoch) */
byte reservation;                                /* the id of the newest one */
byte held;                                       /* what the chunk holds on the device */
byte epoch;
bit vanished, vanished_once, failed_over, lands, cut;
byte landing, losses, reaps;

inline verify() { assert(state != OWNED || held == owner) }

proctype client_a() {
  byte mine, chunk = 1, stamp; bit has, copied, sent; byte a, b, r; mtype m;
end: do
  :: atomic { !has && !copied && !sent && !vanished && grants?[r] -> grants?mine; has = 1 }
  :: atomic { has && !lands && chunk < 3 && !vanished ->
       has = 0; stamp = epoch; landing = chunk; lands = 1; copied = 1 }
  :: atomic { lands -> lands = 0; held = landing; landing = 0; verify() }
  :: atomic { copied && !lands && !sent && !vanished && nfull(commits) -> sent = 1; commits!chunk,stamp,mine }
  :: atomic { sent && !vanished && answers?[m] -> answers?m;
       if :: m == back -> has = 1 :: else fi;
       sent = 0; copied = 0; chunk++; m = 0 }
  :: atomic { sent && !vanished && losses < 2 -> losses++;        /* sends the same again */
       do :: commits?a,b,r :: empty(commits) -> break od;
       do :: answers?m :: empty(answers) -> break od; a = 0; b = 0; r = 0; m = 0; sent = 0;
#ifdef CLIENT_DECIDES
       if :: skip :: has = 1; copied = 0; chunk++ fi             /* "no answer, so it was not committed" */
#endif
     }
  :: atomic { (vanished                                          /* comes back with a new session */
#ifndef RETURN_WITH_IO
       && !lands
#endif
       ) -> vanished = 0; has = 0; copied = 0; sent = 0;
       do :: commits?a,b,r :: empty(commits) -> break od;
       do :: answers?m :: empty(answers) -> break od;
       do :: grants?r :: empty(grants) -> break od; a = 0; b = 0; r = 0; m = 0;
       if :: state == IN_DOUBT || state == RESERVED_A -> state = FREE :: else fi }
  od
}

proctype server() {
  byte c, e, r;
end: do
  :: atomic { !vanished && state == FREE && empty(grants) && reservation < 4 ->
       state = RESERVED_A;
#ifdef SAME_IDS
       reservation = 1;
#else
       reservation++;
#endif
       grants!reservation }
  :: atomic { !vanished && nfull(answers) && commits?[c,e,r] -> commits?c,e,r;
       if
#ifdef EPOCH_FIRST
       :: e != epoch -> answers!back
#endif
#ifndef NOT_IDEMPOTENT
       :: (state == OWNED && owner == c && owner_epoch == e
# ifdef EPOCH_FIRST
           && e == epoch
# endif
          ) -> answers!used
#endif
       :: else ->
          if
#ifndef UNCHECKED
          :: (state != RESERVED_A || reservation != r) ->
# ifdef NOT_IDEMPOTENT
             answers!back
# else
             answers!taken
# endif
#endif
          :: else ->
             if :: e != epoch -> answers!back
                :: else -> state = OWNED; owner = c; owner_epoch = e; answers!used; verify() fi
          fi
       fi; c = 0; e = 0; r = 0 }
  :: atomic { epoch == 0 -> epoch = 1 }
  :: atomic { state == OWNED && reaps < 2 -> reaps++; state = FREE; owner = 0; owner_epoch = 0 }
  :: atomic { !vanished_once -> vanished_once = 1; vanished = 1;   /* its lease is over; that proves nothing */
       if :: state == RESERVED_A ->
#ifdef REUSE_BY_TIME
             state = FREE
#else
             state = IN_DOUBT
#endif
          :: else fi }
  :: atomic { !failed_over -> failed_over = 1;
#ifdef FORGOTTEN_AT_FAILOVER
       if :: state == RESERVED_A -> state = FREE :: else fi
#endif
     }
  od
}

proctype client_b() {
  byte n; bit has;
end: do
  :: atomic { !has && n < 2 && state == FREE -> n++; has = 1; state = RESERVED_B; reservation++ }
  :: atomic { has -> held = 3; verify();
       if :: state == RESERVED_B -> state = OWNED; owner = 3; owner_epoch = epoch :: else fi;
       has = 0; verify() }
  od
}

init { atomic { run client_a(); run server(); run client_b() } }
