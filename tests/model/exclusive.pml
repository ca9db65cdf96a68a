/*
 * Exclusive roles and drop-oldest on the ring of slot_ring.pml, which this file includes.
 *
 * -DXP    producers take turns at the exclusive role: free to ready by a plain store, some time after the look
 * -DXC    consumers take turns at the exclusive role: ready to free by a plain store, in order, some time after the look;
 *         the read position in the record; nack and extend of a message first swap ready to leased
 * -DDROP  a producer that finds no room drops the oldest ready message: by lease, note, free, count
 * PURGES  the supervisor sets a position; the holder of the consumer's role frees what is ready before it, or the
 *         supervisor where nobody holds the role
 * A role passes on only when its dead holder has been reclaimed.
 */
#ifdef XC
#define CONSUMER XConsumer
#endif
#include "slot_ring.pml"

#ifdef XC
#ifndef AHEAD
#define AHEAD 1                         /* how far it reads before it acks */
#endif
proctype XConsumer(byte me) {
  byte r, f, i, k, seenr, hs, ht, z;
  bool emp, took;
  short w, v, c0, k0;
#define WIPE r = 0; f = 0; i = 0; k = 0; seenr = 0; hs = 0; ht = 0; emp = 0; took = 0; w = 0; v = 0; c0 = 0; k0 = 0; ended++
#define HELD (ST(w) == LEASED && OWN(w) == me && TAG(w) == ht && seq[i] == hs)

#ifdef MUT_ATTACH_EARLY
#define VACANT (crole == 0 || dead[crole] == 1)
#else
#define VACANT (crole == 0)
#endif
attach: STEP_WHEN(VACANT || DONE, WIPE)
    if
    :: DONE -> WIPE; goto gone
    :: else -> crole = me; readpos = 0; r = head; f = r; goto start
    fi END;
start: STEP(WIPE)
    emp = false;
    if
    :: DONE -> WIPE; goto gone
    :: else ->
       dirty = dirty & ~MINE;
       if
       :: returns != seenr -> goto map
       :: else -> goto ring
       fi
    fi END;

ring: STEP(WIPE)
    w = W[r % N];
    if
#if PURGES
    :: w == WORD(r / N, 0, 0, READY) && r < purgepos -> w = 0; goto purge_one
#endif
    :: w == WORD(r / N, 0, 0, READY) && r >= purgepos -> w = 0;
#ifdef MUT_READ_BEFORE_POSITION
       goto read
#else
       goto set_position
#endif
    :: LAP(w) == r / N && ST(w) == WRITING -> w = 0;
       if
       :: READY_BEYOND(r) -> goto skipit
       :: else -> emp = true; goto map
       fi
    :: LAP(w) > r / N || (LAP(w) == r / N && OCCUPIED(ST(w))) -> r = MAX(r + 1, PASSED(w, r % N) - (N - 1)); w = 0; goto ring
    :: else -> w = 0; emp = true; goto map
    fi END;
skipit: STEP(WIPE)
    w = W[r % N];
    if
    :: ST(w) == WRITING && LAP(w) == r / N -> W[r % N] = WORD(LAP(w), 0, OWN(w), SKIPPED); TOUCH
    :: else
    fi;
    w = 0; goto ring END;
#if PURGES
purge_one: STEP(WIPE)
    assert(W[r % N] == WORD(r / N, 0, 0, READY));
    purgem = purgem | BIT(id[r % N]); W[r % N] = WORD(r / N + 1, 0, 0, FREE); TOUCH; audit_free(r % N); r++; goto ring END;
#endif

#ifdef MUT_READ_BEFORE_POSITION
read: STEP(WIPE) deliver(r % N); goto set_position END;
set_position: STEP(WIPE) readpos = r + 1; r++; goto choose END;
#else
set_position: STEP(WIPE)                /* this store is the delivery: what comes after it counts as delivered */
    readpos = r + 1; deliver(r % N); goto read END;
read: STEP(WIPE)
    assert(W[r % N] == WORD(r / N, 0, 0, READY));
    r++; goto choose END;
#endif
choose: STEP(WIPE)
    if
    :: goto free_up                         /* cumulative ack of all that was read */
    :: r - f <= AHEAD -> goto start         /* read on */
    :: nacks > 0 -> nacks--; goto to_lease
    :: extends > 0 -> extends--; k = 1; goto to_lease
    :: rejects > 0 -> rejects--; k = 2; goto to_lease
    fi END;

free_up: STEP(WIPE)
    if
    :: f >= r -> goto start
    :: else ->
       w = W[f % N];
       if
#ifdef MUT_FREE_WHATEVER
       :: LAP(w) == f / N -> w = 0; goto free_one
#else
       :: w == WORD(f / N, 0, 0, READY) -> w = 0; goto free_one
#endif
       :: else -> w = 0; f++; goto free_up  /* nacked, skipped or purged */
       fi
    fi END;
free_one: STEP(WIPE)
    assert(W[f % N] == WORD(f / N, 0, 0, READY));
    ackm = ackm | BIT(id[f % N]);
    W[f % N] = WORD(f / N + 1, 0, 0, FREE); TOUCH; audit_free(f % N); f++; goto move_head END;
move_head: STEP(WIPE)
    head = f; audit_head(); goto free_up END;

to_lease: STEP(WIPE)    /* the message read last: ready to leased by CAS, then as everybody */
    i = (r - 1) % N; w = W[i];
    assert(w == WORD((r - 1) / N, 0, 0, READY));
    hs = seq[i]; ht = 1; W[i] = WORD(LAP(w), 1, me, LEASED); TOUCH; w = 0;
    if
    :: k == 1 -> k = 0; goto leased_ack
    :: k == 2 -> k = 0; goto reject
    :: else -> goto nack
    fi END;
reject: STEP(WIPE)
    w = W[i];
    if
    :: HELD -> W[i] = WORD(LAP(w), TAG(w), 0, LEASED); TOUCH
    :: else
    fi;
    w = 0; i = 0; hs = 0; ht = 0; goto free_up END;
leased_ack: STEP(WIPE)
    w = W[i];
    if
    :: HELD -> assert(!(ackm & BIT(id[i]))); ackm = ackm | BIT(id[i]); W[i] = FREED(w); TOUCH; audit_free(i)
    :: else
    fi;
    w = 0; i = 0; hs = 0; ht = 0; goto free_up END;

map: STEP(WIPE) seenr = returns; k = 0; goto look_cell END;
look_cell: STEP(WIPE)
    if
    :: k >= N -> k = 0;
       if
       :: emp && f < r -> goto free_up
       :: emp && f >= r -> goto sleep
       :: else -> goto ring
       fi
    :: else ->
       v = cell[k];
       if :: v == 0 -> k++; goto look_cell :: else -> goto candidate fi
    fi END;
candidate: STEP(WIPE)
    w = W[k];
    if
    :: ST(w) == RETURNED && NAMES(v, seq[k], TAG(w)) ->
       i = k; hs = seq[k]; ht = TAG(w) + 1;
       W[k] = WORD(LAP(w), ht, me, LEASED); TOUCH; deliver(k);
       took = true; seenr = 255; w = 0; goto clear
    :: ST(w) == LEASED && NAMES(v, seq[k], TAG(w)) -> w = 0; v = 0; k++; goto look_cell
    :: else -> w = 0; goto clear
    fi END;
clear: STEP(WIPE)
    if :: cell[k] == v -> cell[k] = 0 :: else fi;
    v = 0;
    if
    :: took -> took = false; k = 0; goto got
    :: else -> k++; goto look_cell
    fi END;
got: STEP(WIPE)
    if
    :: goto leased_ack
    :: nacks > 0 -> nacks--; goto nack
    fi END;
nack: STEP(WIPE)
    c0 = cell[i]; k0 = cnt[i]; w = W[i];
    if
    :: HELD -> w = 0; goto count
    :: else -> w = 0; c0 = 0; k0 = 0; i = 0; hs = 0; ht = 0; goto free_up
    fi END;
count: STEP(WIPE)
    if
    :: COUNTED(k0, hs, ht) -> k0 = 0; goto write_cell
    :: !COUNTED(k0, hs, ht) && cnt[i] == k0 -> cnt[i] = COUNT(hs, ht, TIMES(k0) + 1); k0 = 0; goto write_cell
    :: else -> k0 = 0; c0 = 0; goto nack
    fi END;
write_cell: STEP(WIPE)
    if
    :: cell[i] == c0 -> cell[i] = CELL(hs, ht); c0 = 0; goto give_back
    :: else -> c0 = 0; goto nack
    fi END;
give_back: STEP(WIPE)
    w = W[i];
    if
    :: HELD -> W[i] = WORD(LAP(w), TAG(w), 0, RETURNED); TOUCH; fails[id[i]]++
    :: else
    fi;
    w = 0; i = 0; hs = 0; ht = 0; goto raise_returns END;
raise_returns: STEP(WIPE) returns++; goto start END;
sleep: STEP_WHEN((dirty & MINE) || DONE, WIPE) goto start END;
gone: skip
#undef WIPE
}
#endif
