/*
 * The shared slot ring: which process may change which word, in what order, and who dies in between.
 *
 * One step below is one access to shared memory (a load followed by a compare-and-swap of exactly the loaded word is
 * one step: if the word changed in between, the swap fails and the process starts over from there, which is the same
 * as having looked later). Everything between two steps can be interrupted, for ever if the process is killed or
 * stopped. Sequential consistency is assumed; the orderings are argued in docs/memory_ordering.md.
 *
 * A process that finds nothing to do blocks until some slot word has changed since it began to look. So every dead
 * end (a message that is there but cannot be found, a producer that waits for room that never comes) is an invalid
 * end state, which spin reports without being asked.
 *
 * Sizes:      N slots, NP producers of PER messages, NC consumers
 * Events:     KILLS, STOPS (of the participants in VICTIMS, STOPPABLE), EXPS (leases that expire), NACKS, REJECTS, EXTENDS,
 *             SUPKILLS (the supervisor dies and its successor starts over), BATCH (claims held at once by a producer),
 *             ASIDES (a consumer sets a message aside and takes another first), CACHES (a candidate found in the map is
 *             kept and tried later)
 * Mutations:  -DMUT_x, listed in run.sh; each must make spin find an error
 */
#ifndef N
#define N 2
#endif
#ifndef NP
#define NP 2
#endif
#ifndef NC
#define NC 1
#endif
#ifndef PER
#define PER 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef VICTIMS
#define VICTIMS 255
#endif
#ifndef STOPPABLE
#define STOPPABLE VICTIMS
#endif
#ifndef EXPS
#define EXPS 0
#endif
#ifndef NACKS
#define NACKS 0
#endif
#ifndef REJECTS
#define REJECTS 0
#endif
#ifndef EXTENDS
#define EXTENDS 0
#endif
#ifndef SUPKILLS
#define SUPKILLS 0
#endif
#ifndef BATCH
#define BATCH 1
#endif
#ifndef ASIDES
#define ASIDES 0
#endif
#ifndef CACHES
#define CACHES 0
#endif
#ifndef PURGES
#define PURGES 0
#endif
#ifndef CONSUMER
#define CONSUMER Consumer               /* exclusive.pml puts another in its place */
#endif
#define M (NP * PER)

/* the word {lap, tag, owner, state}; owner 0 is the supervisor (and nobody) */
#define FREE     0
#define WRITING  1
#define SKIPPED  2
#define READY    3
#define LEASED   4
#define RETURNED 5
#define WORD(l, t, o, s) (((l) << 9) | ((t) << 6) | ((o) << 3) | (s))
#define ST(w)  ((w) & 7)
#define OWN(w) (((w) >> 3) & 7)
#define TAG(w) (((w) >> 6) & 7)
#define LAP(w) ((w) >> 9)
#define OCCUPIED(s) ((s) == LEASED || (s) == RETURNED || (s) == SKIPPED)
#ifdef MUT_FREE_KEEPS_LAP
#define FREED(w) WORD(LAP(w), 0, 0, FREE)
#else
#define FREED(w) WORD(LAP(w) + 1, 0, 0, FREE)
#endif
/* a returned-map cell and the count word carry the message's lap and tag; 0 is an empty cell */
#define CELL(q, t)   (((((q) / N) << 3) | (t)) * 2 + 1)
#define NAMES(c, q, t) ((c) == CELL(q, t))
#ifdef MUT_COUNT_WITHOUT_LAP
#define COUNT(q, t, n) (((t) << 3) | (n))
#else
#define COUNT(q, t, n) ((((q) / N) << 6) | ((t) << 3) | (n))
#endif
#define TIMES(c)     ((c) & 7)
#ifdef MUT_COUNT_UNGUARDED
#define COUNTED(c, q, t) false
#elif defined(MUT_COUNT_WITHOUT_LAP)
#define COUNTED(c, q, t) (((c) >> 3) == (t))
#else
#define COUNTED(c, q, t) (((c) >> 3) == ((((q) / N) << 3) | (t)))
#endif

short W[N];                     /* the slot words */
byte  seq[N], id[N];            /* header: sequence (= position), and which message it is (0 none) */
short cnt[N];                   /* header: {lap, tag} counted last, number of failed deliveries */
short cell[N];                  /* the returned map */
byte  returns, head, tail;
byte  prole, crole;                     /* holder of an exclusive role (XP, XC); 0 nobody, 7 the supervisor for the moment */
byte  readpos;                          /* in the exclusive consumer's record: it may have read what is before this */
byte  purgepos;                         /* purge: the holder frees what is before this */
short dropped[NP + 1];                  /* in a producer's record: {messages dropped, the slot it is about to drop + 1} */
/* ghosts */
byte  dropm, purgem;
byte  sentm, delivm, ackm, fails[M + 1], before[M + 1];
/* 1 dead, 2 stopped for ever */
byte  dead[NP + NC + 1], reaped, ended, donep;
byte  dirty;                    /* a bit for each participant: a word has changed since it began to look */
byte  kills = KILLS, stops = STOPS, exps = EXPS, nacks = NACKS, rejects = REJECTS, extends = EXTENDS, supkills = SUPKILLS, asides = ASIDES, caches = CACHES, purges = PURGES;

#define BIT(m) (1 << ((m) - 1))
#define PROD(m) (((m) - 1) / PER)
#define LATER_OF_SAME(m) ((1 << ((PROD(m) + 1) * PER)) - (1 << (m)))
#define TOUCH dirty = 255
#define MINE (1 << (me - 1))
#define REAPED(p) (reaped & (1 << ((p) - 1)))
#define DONE (donep == NP && sentm == (ackm | dropm | purgem))
#define DROPS(n, k) (((n) << 3) | (k))     /* one word: count, and the slot about to be dropped + 1 */
#define MAX(a, b) ((a) > (b) -> (a) : (b))
/* what the word of slot i proves passed: producers go one beyond, consumers look from N - 1 before it */
#define PASSED(w, i) (ST(w) == FREE -> (LAP(w) - 1) * N + (i) : LAP(w) * N + (i))
#define READYAT(p) (W[(p) % N] == WORD((p) / N, 0, 0, READY))
#if N == 2
#define READY_BEYOND(h) READYAT((h) + 1)
#elif N == 3
#define READY_BEYOND(h) (READYAT((h) + 1) || READYAT((h) + 2))
#else
#define READY_BEYOND(h) (READYAT((h) + 1) || READYAT((h) + 2) || READYAT((h) + 3))
#endif

/*
 * A step of a participant, which may also be its last. The guard stands first in its option: an if there would be
 * merged with the options around it, and its else would wait for them.
 */
#define STEP(wipe) STEP_WHEN(true, wipe)
#define STEP_WHEN(guard, wipe) \
  if \
  :: atomic { kills > 0 && (VICTIMS & MINE) -> kills--; dead[me] = 1; wipe; goto gone } \
  :: atomic { stops > 0 && (STOPPABLE & MINE) -> stops--; dead[me] = 2; wipe; goto gone } \
  :: atomic { guard ->
#define END } fi

/* audit: a slot freed for position f must not lie behind a position that a producer has passed */
inline audit_free(i) {
  z = 0;
  do
  :: z == N -> break
  :: else -> assert(z == i || PASSED(W[z], z) < LAP(W[i]) * N + i); z++
  od;
  z = 0
}
/* audit: nobody claims position p while a position before p is still free to claim */
inline audit_claim(i) {
  z = 0;
  do
  :: z == N -> break
  :: else -> assert(ST(W[z]) != FREE || LAP(W[z]) * N + z > LAP(W[i]) * N + i); z++
  od;
  z = 0
}
/* audit: head never passes a ready slot */
inline audit_head() {
  z = 0;
  do
  :: z == N -> break
  :: else -> assert(ST(W[z]) != READY || LAP(W[z]) * N + z >= head); z++
  od;
  z = 0
}
inline deliver(i) {
  assert(id[i] != 0 && (sentm & BIT(id[i])));
  assert(!(ackm & BIT(id[i])));
  assert(TIMES(cnt[i]) == fails[id[i]]);
  if
  :: !(delivm & BIT(id[i])) ->
     assert(!(delivm & LATER_OF_SAME(id[i])));
#ifdef XORDER
     assert(!(before[id[i]] & ~delivm));
     before[id[i]] = 0;
#endif
     delivm = delivm | BIT(id[i])
  :: else -> assert(TIMES(cnt[i]) > 0)          /* a redelivery says so */
  fi
}

proctype Producer(byte me) {
  byte m = 1, t, q, own, nc, j, z;
  byte cl[BATCH];
  short w;
#define WIPE t = 0; q = 0; own = 0; w = 0; j = 0; nc = 0; m = 0; cl[0] = 0; cl[BATCH - 1] = 0; donep++; ended++

#ifdef XP
start: STEP_WHEN(prole == 0 || prole == me, WIPE)
    prole = me;
#else
start: STEP(WIPE)
#endif
    if
    :: m > PER -> m = 0; own = 0; t = 0; donep++; ended++;
#ifdef XP
       prole = 0;
#endif
       goto gone
    :: else ->
       dirty = dirty & ~MINE;
       t = MAX(tail, own);
#ifdef XORDER
       if :: nc == 0 -> before[(me - 1) * PER + m] = sentm & ~delivm :: else fi;
#endif
       goto look
    fi END;

look: STEP(WIPE)
    w = W[t % N];
    if
#ifdef XP
    :: w == WORD(t / N, 0, 0, FREE) -> w = 0; q = 0; goto store
#else
    :: w == WORD(t / N, 0, 0, FREE) -> w = 0; goto claim
#endif
    :: LAP(w) + 1 == t / N && (OCCUPIED(ST(w)) || ST(w) == WRITING) -> w = 0; q = t + 1; goto scan
#ifdef DROP
    :: LAP(w) + 1 == t / N && ST(w) == READY -> w = 0; q = t; goto drop
#else
    :: LAP(w) + 1 == t / N && ST(w) == READY -> w = 0; goto no_room
#endif
    :: LAP(w) > t / N || (LAP(w) == t / N && ST(w) != FREE) -> t = MAX(t + 1, PASSED(w, t % N) + 1); w = 0; goto look
    :: else -> assert(false)
    fi;
claim:
    /* merged with the look: the swap of the word just seen */
    W[t % N] = WORD(t / N, 0, me, WRITING); TOUCH;
    audit_claim(t % N);
    cl[nc] = t; nc++; own = t + 1; q = 0;
    goto claimed END;

scan: STEP(WIPE)    /* look before bumping: is there a free slot behind the run of occupied ones? */
    if
    :: q - t >= N -> goto no_room
    :: else ->
       w = W[q % N];
       if
       :: w == WORD(q / N, 0, 0, FREE) -> w = 0;
#ifdef MUT_NO_BUMP
          t = q; goto look
#else
          goto bump
#endif
       :: LAP(w) + 1 == q / N && (OCCUPIED(ST(w)) || ST(w) == WRITING) -> w = 0; q++; goto scan
#ifdef DROP
       :: LAP(w) + 1 == q / N && ST(w) == READY -> w = 0; goto drop
#else
       :: LAP(w) + 1 == q / N && ST(w) == READY -> w = 0; goto no_room
#endif
       :: else -> w = 0; goto look
       fi
    fi END;

#ifdef DROP
drop: STEP(WIPE)    /* the oldest ready message goes: by lease, so that nobody else has it, and so that a death shows it */
    w = W[q % N];
    if
    :: LAP(w) + 1 == q / N && ST(w) == READY -> W[q % N] = WORD(LAP(w), 1, me, LEASED); TOUCH; w = 0; goto drop_note
    :: else -> w = 0; q = 0; goto look
    fi END;
drop_note: STEP(WIPE)
#ifdef MUT_DROP_WITHOUT_NOTE
    goto drop_free
#else
    dropped[me] = DROPS(dropped[me] >> 3, q % N + 1); goto drop_free
#endif
    END;
drop_free: STEP(WIPE)
    w = W[q % N];
    if
    :: ST(w) == LEASED && OWN(w) == me ->
       dropm = dropm | BIT(id[q % N]); W[q % N] = FREED(w); TOUCH; audit_free(q % N); w = 0; goto drop_count
    :: else -> dropped[me] = DROPS(dropped[me] >> 3, 0); w = 0; q = 0; goto look
    fi END;
drop_count: STEP(WIPE)
    dropped[me] = DROPS((dropped[me] >> 3) + 1, 0); q = 0; goto look END;
#endif

#ifdef XP
store: STEP(WIPE)   /* nobody else touches a free slot: a plain store, some time after the look */
    assert(W[t % N] == WORD(t / N, 0, 0, FREE));
    seq[t % N] = t; id[t % N] = (me - 1) * PER + m; cnt[t % N] = COUNT(t, 0, 0);
    W[t % N] = WORD(t / N, 0, 0, READY); TOUCH;
    audit_claim(t % N);
    sentm = sentm | BIT((me - 1) * PER + m); m++; own = t + 1;
    goto store_tail END;
store_tail: STEP(WIPE)
    tail = t + 1; t = 0; goto start END;
#endif

bump: STEP(WIPE)    /* bump the run in order, evaluating each slot afresh */
    w = W[t % N];
    if
    :: t == q -> w = 0; q = 0; goto look
    :: t != q && LAP(w) + 1 == t / N && OCCUPIED(ST(w)) ->
       W[t % N] = WORD(LAP(w) + 1, TAG(w), OWN(w), ST(w)); TOUCH; w = 0; t++; goto bump
    :: t != q && LAP(w) + 1 == t / N && ST(w) == WRITING ->
       /* an unfinished claim with nothing ready behind it: no consumer will ever skip it, so the producer does */
#ifdef MUT_PRODUCER_NEVER_SKIPS
       w = 0; goto no_room
#else
       W[t % N] = WORD(LAP(w), 0, OWN(w), SKIPPED); TOUCH; w = 0; goto bump
#endif
    :: t != q && !(LAP(w) + 1 == t / N && (OCCUPIED(ST(w)) || ST(w) == WRITING)) -> w = 0;
#ifdef MUT_BUMP_BLIND
       t++; goto bump
#else
       q = 0; goto look
#endif
    fi END;

#ifdef MUT_BATCH_WAITS
no_room: STEP_WHEN(dirty & MINE, WIPE)
    q = 0; t = 0; goto start END;
#else
no_room: STEP_WHEN(nc > 0 || (dirty & MINE), WIPE)
    /* never wait with a claim in hand */
    q = 0; t = 0;
    if :: nc > 0 -> goto publish :: else -> goto start fi END;
#endif

claimed: STEP(WIPE)
    tail = t + 1; t = 0;                 /* a plain store: may move the hint back */
    if
    :: nc < BATCH && m + nc <= PER -> goto start
    :: else -> goto publish
    fi END;

publish: STEP(WIPE)
    w = W[cl[j] % N];
    if
    :: w == WORD(cl[j] / N, 0, me, WRITING) ->
       seq[cl[j] % N] = cl[j]; id[cl[j] % N] = (me - 1) * PER + m; cnt[cl[j] % N] = COUNT(cl[j], 0, 0);
       W[cl[j] % N] = WORD(cl[j] / N, 0, 0, READY); TOUCH;
       sentm = sentm | BIT((me - 1) * PER + m); m++; w = 0; cl[j] = 0; j++;
       if :: j == nc -> j = 0; nc = 0; goto start :: else -> goto publish fi
    :: else ->
       assert(ST(w) == SKIPPED && OWN(w) == me);
#ifdef MUT_PUBLISH_LATE
       /* what the forerunner once did: deliver the late message where it stands */
       seq[cl[j] % N] = cl[j]; id[cl[j] % N] = (me - 1) * PER + m; cnt[cl[j] % N] = COUNT(cl[j], 0, 0);
       cell[cl[j] % N] = CELL(cl[j], 0);
       W[cl[j] % N] = WORD(LAP(w), 0, 0, RETURNED); TOUCH; returns++;
       sentm = sentm | BIT((me - 1) * PER + m); m++; w = 0; cl[j] = 0; j++;
       if :: j == nc -> j = 0; nc = 0; goto start :: else -> goto publish fi
#endif
       w = 0; goto giveup
    fi END;

giveup: STEP(WIPE)  /* skipped: this claim and all later ones are given up, and sent again in order */
    w = W[cl[j] % N];
    assert((ST(w) == SKIPPED || ST(w) == WRITING) && OWN(w) == me);
    W[cl[j] % N] = FREED(w); TOUCH; audit_free(cl[j] % N);
    w = 0; cl[j] = 0; j++;
    if
    :: j < nc -> goto giveup
    :: else -> j = 0; nc = 0; goto start
    fi END;
gone: skip
#undef WIPE
}

proctype Consumer(byte me) {
  byte h, i, k, own, seenr, hs, ht, z;
  byte ai, as, at, ck;                   /* a handle set aside; a cached candidate */
  bool emp, took;
  short w, v, c0, k0, cv;
#define WIPE ai = 0; as = 0; at = 0; ck = 0; cv = 0; h = 0; i = 0; k = 0; own = 0; seenr = 0; hs = 0; ht = 0; emp = 0; took = 0; w = 0; v = 0; c0 = 0; k0 = 0; ended++
#define DROP i = 0; hs = 0; ht = 0; c0 = 0; k0 = 0; w = 0
#define SWAP(x, y) z = x; x = y; y = z; z = 0
#ifdef MUT_ACK_WITHOUT_SEQ
#define HELD (ST(w) == LEASED && OWN(w) == me && TAG(w) == ht)
#else
#define HELD (ST(w) == LEASED && OWN(w) == me && TAG(w) == ht && seq[i] == hs)
#endif

start: STEP(WIPE)
    emp = false;
    if
    :: DONE -> WIPE; goto gone
    :: else ->
       dirty = dirty & ~MINE;
       if
#if ASIDES
       :: at != 0 -> i = ai; hs = as; ht = at; ai = 0; as = 0; at = 0; goto got
#endif
#if CACHES
       :: cv != 0 -> k = ck; v = cv; ck = 0; cv = 0; goto candidate
       :: cv == 0 && returns != seenr -> goto map
#else
       :: returns != seenr -> goto map
#endif
       :: returns == seenr && cv == 0 -> h = MAX(head, own); goto ring
       fi
    fi END;

ring: STEP(WIPE)
    w = W[h % N];
    if
    :: w == WORD(h / N, 0, 0, READY) ->
       i = h % N; ht = 1; hs = seq[i];
       W[i] = WORD(h / N, 1, me, LEASED); TOUCH; deliver(i);
       own = h + 1; w = 0; goto took_new
    :: LAP(w) == h / N && ST(w) == WRITING -> w = 0;
       if
       :: READY_BEYOND(h) -> goto skipit
       :: else -> h = 0; emp = true; goto map
       fi
    :: LAP(w) > h / N || (LAP(w) == h / N && OCCUPIED(ST(w))) ->
#ifdef MUT_JUMP_FAR
       h = MAX(h + 1, PASSED(w, h % N) - N + 2);
#else
       h = MAX(h + 1, PASSED(w, h % N) - (N - 1));
#endif
       w = 0; goto ring
    :: else -> w = 0;
       h = 0; emp = true; goto map
    fi END;

skipit: STEP(WIPE)
#ifdef MUT_SKIP_WITHOUT_MARK
    h++; goto ring
#else
    w = W[h % N];
    if
    :: ST(w) == WRITING && LAP(w) == h / N -> W[h % N] = WORD(LAP(w), 0, OWN(w), SKIPPED); TOUCH
    :: else
    fi;
    w = 0; goto ring
#endif
    END;

took_new: STEP(WIPE)
    head = h + 1; h = 0;                 /* a plain store: may move the hint back */
    audit_head();
    goto got END;

map: STEP(WIPE)
    seenr = returns; k = 0; goto look_cell END;

look_cell: STEP(WIPE)
    if
    :: k >= N -> k = 0;
       if :: emp -> goto sleep :: else -> h = MAX(head, own); goto ring fi
    :: else ->
       v = cell[k];
       if
       :: v == 0 -> k++; goto look_cell
       :: v != 0 -> goto candidate
#if CACHES
       :: v != 0 && caches > 0 && !emp -> caches--; ck = k; cv = v; v = 0; k++; goto look_cell
#endif
       fi
    fi END;

candidate: STEP(WIPE)   /* later, perhaps much later: the slot word decides */
    w = W[k];
    if
    :: ST(w) == RETURNED && NAMES(v, seq[k], TAG(w)) ->
       i = k; hs = seq[k]; ht = TAG(w) + 1;
       W[k] = WORD(LAP(w), ht, me, LEASED); TOUCH; deliver(k);
       took = true; seenr = 255; w = 0; goto clear     /* and look again: returned ones come before new ones */
    :: ST(w) == LEASED && NAMES(v, seq[k], TAG(w)) -> w = 0;
#ifdef MUT_CLEAR_LEASED
       goto clear
#else
       v = 0; k++; goto look_cell            /* its returner is on the way */
#endif
    :: else -> w = 0; goto clear
    fi END;

clear: STEP(WIPE)
    if
#ifdef MUT_CLEAR_ANY
    :: true -> cell[k] = 0
#else
    :: cell[k] == v -> cell[k] = 0
#endif
    :: else
    fi;
    v = 0;
    if
    :: took -> took = false; k = 0; goto got
    :: else -> k++; goto look_cell
    fi END;

got: STEP(WIPE)
    if
    :: goto ack
    :: nacks > 0 -> nacks--; goto nack
    :: rejects > 0 -> rejects--; goto reject
    :: extends > 0 -> extends--; goto extend
#if ASIDES
    :: asides > 0 && at == 0 -> asides--; ai = i; as = hs; at = ht; DROP; goto start
    :: asides > 0 && at != 0 -> asides--; SWAP(ai, i); SWAP(as, hs); SWAP(at, ht); goto got
#endif
    fi;
ack:
    w = W[i];
    if
#ifdef MUT_ACK_WITHOUT_TAG
    :: ST(w) == LEASED && OWN(w) == me ->
#elif defined(MUT_ACK_WITHOUT_OWNER)
    :: ST(w) == LEASED && seq[i] == hs ->
#elif defined(MUT_ACK_LAP)
    :: HELD && LAP(w) == hs / N ->
#else
    :: HELD ->
#endif
       assert(!(ackm & BIT(id[i])));
       ackm = ackm | BIT(id[i]);
       W[i] = FREED(w); TOUCH; audit_free(i);
       assert(seq[i] == hs && TAG(w) == ht)     /* a stale handle acks nothing */
    :: else
    fi;
    DROP; goto start;
extend:
    w = W[i];
    if
    :: HELD -> ht++; W[i] = WORD(LAP(w), ht, me, LEASED); TOUCH; w = 0; goto got
    :: else -> DROP; goto start
    fi;
reject:
    w = W[i];
    if
    :: HELD -> W[i] = WORD(LAP(w), TAG(w), 0, LEASED); TOUCH
    :: else
    fi;
    DROP; goto start END;

nack: STEP(WIPE)    /* first the cell and the count as they are, then: is it still mine? */
    c0 = cell[i]; k0 = cnt[i]; w = W[i];
    if
    :: HELD -> w = 0; goto count
    :: else -> DROP; goto start
    fi END;

count: STEP(WIPE)
    if
    :: COUNTED(k0, hs, ht) -> k0 = 0; goto write_cell
    :: else ->
       if
#ifdef MUT_COUNT_STORE
       :: true ->
#else
       :: cnt[i] == k0 ->
#endif
          cnt[i] = COUNT(hs, ht, TIMES(k0) + 1); k0 = 0; goto write_cell
       :: else -> k0 = 0; c0 = 0; goto nack
       fi
    fi END;

write_cell: STEP(WIPE)
    if
#ifdef MUT_CELL_STORE
    :: true ->
#else
    :: cell[i] == c0 ->
#endif
       cell[i] = CELL(hs, ht); c0 = 0; goto give_back
    :: else -> c0 = 0; goto nack
    fi END;

give_back: STEP(WIPE)
    w = W[i];
    if
    :: HELD ->
       W[i] = WORD(LAP(w), TAG(w), 0, RETURNED); TOUCH; fails[id[i]]++; DROP; goto raise_returns
    :: else -> DROP; goto start
    fi END;

raise_returns: STEP(WIPE)
    returns++; goto start END;

sleep: STEP_WHEN((dirty & MINE) || DONE || at != 0, WIPE)
    goto start END;
gone: skip
#undef WIPE
}

#define HOLDS(k, p) (OWN(W[k]) == (p) && ST(W[k]) != FREE)
/* a producer's lease is a drop: it does not expire, or nobody could tell whether it was counted */
#ifdef MUT_DROPS_EXPIRE
#define MAY_EXPIRE(k) (OWN(W[k]) != 0)
#else
#define MAY_EXPIRE(k) (OWN(W[k]) > NP)
#endif
#define EXPIRED(k) (ST(W[k]) == LEASED && MAY_EXPIRE(k) && dead[OWN(W[k])] == 2)
#define LEFT(k) (ST(W[k]) == LEASED && OWN(W[k]) == 0)
#define UNREAPED(p) (dead[p] == 1 && !REAPED(p))
#define NONE_UNREAPED !(UNREAPED(1) || (NP + NC > 1 && UNREAPED(2)) || (NP + NC > 2 && UNREAPED(3)) || (NP + NC > 3 && UNREAPED(4)))
#define SUPSTEP if :: atomic { supkills > 0 -> supkills--; k = 0; p = 0; goto watch } :: atomic { true ->

#ifdef DROP
#define LEASE_OF_CONSUMER(p) ((p) > NP)
#else
#define LEASE_OF_CONSUMER(p) true
#endif

proctype Supervisor() {
  byte p, k, z;
  short w;
#define EXPIRE(x) W[x] = WORD(LAP(W[x]), TAG(W[x]), 0, LEASED); TOUCH; k = x; goto count
watch: if
  :: atomic { ended == NP + NC && NONE_UNREAPED && !LEFT(0) && !LEFT(1) && !LEFT(N - 1) -> goto finished }
  :: atomic { UNREAPED(1) -> p = 1; goto reap }
  :: atomic { UNREAPED(2) -> p = 2; goto reap }
#if NP + NC > 2
  :: atomic { UNREAPED(3) -> p = 3; goto reap }
#endif
#if NP + NC > 3
  :: atomic { UNREAPED(4) -> p = 4; goto reap }
#endif
  /* what a predecessor or a reject left with the supervisor */
  :: atomic { LEFT(0) -> k = 0; goto count }
  :: atomic { LEFT(1) -> k = 1; goto count }
#if PURGES
  :: atomic { purges > 0 -> purges--; purgepos = tail; TOUCH }
  :: atomic { purgepos > 0 && crole == 0 && !DONE -> crole = 7; k = 0; goto purge }     /* nobody holds the role: it does */
#endif
  :: atomic { exps > 0 && ST(W[0]) == LEASED && MAY_EXPIRE(0) -> exps--; EXPIRE(0) }
  :: atomic { exps > 0 && ST(W[1]) == LEASED && MAY_EXPIRE(1) -> exps--; EXPIRE(1) }
  :: atomic { EXPIRED(0) -> EXPIRE(0) }
  :: atomic { EXPIRED(1) -> EXPIRE(1) }
#if N > 2
  :: atomic { LEFT(2) -> k = 2; goto count }
  :: atomic { exps > 0 && ST(W[2]) == LEASED && MAY_EXPIRE(2) -> exps--; EXPIRE(2) }
  :: atomic { EXPIRED(2) -> EXPIRE(2) }
#endif
  fi;
reap: SUPSTEP
    if
    :: k >= N -> k = 0; returns++;
#ifdef DROP
       /* it had freed the slot and not come to count */
       if
       :: p <= NP && (dropped[p] & 7) != 0 -> dropped[p] = DROPS((dropped[p] >> 3) + 1, 0)
       :: else
       fi;
#endif
       if :: prole == p -> prole = 0 :: else fi;
       if :: crole == p -> crole = 0; readpos = 0 :: else fi;
       reaped = reaped | (1 << (p - 1)); p = 0; TOUCH; goto watch
    :: else ->
       w = W[k];
       if
#ifdef DROP
       :: HOLDS(k, p) && ST(w) == LEASED && p <= NP -> w = 0;
          dropped[p] = DROPS(dropped[p] >> 3, k + 1); goto finish_drop
#endif
#ifdef XC
       /* the exclusive consumer may have read it: counted and given back like a lease */
       :: crole == p && ST(w) == READY && LAP(w) * N + k < readpos ->
#ifdef MUT_MARK_IN_PLACE
          fails[id[k]]++;
          if
          :: COUNTED(cnt[k], seq[k], 1)
          :: else -> cnt[k] = COUNT(seq[k], 1, TIMES(cnt[k]) + 1)
          fi;
          k++; w = 0; goto reap
#elif defined(MUT_DEATH_FORGETS_READ)
          k++; w = 0; goto reap
#else
          W[k] = WORD(LAP(w), 1, 0, LEASED); TOUCH; w = 0; goto count
#endif
#endif
#ifdef MUT_REAP_FORGETS_SKIPPED
       :: HOLDS(k, p) && ST(w) == WRITING ->
#else
       :: HOLDS(k, p) && (ST(w) == WRITING || ST(w) == SKIPPED) ->
#endif
          W[k] = FREED(w); TOUCH; audit_free(k); k++; w = 0; goto reap
       :: HOLDS(k, p) && ST(w) == LEASED && LEASE_OF_CONSUMER(p) ->
          W[k] = WORD(LAP(w), TAG(w), 0, LEASED); TOUCH; w = 0; goto count
       :: else -> k++; w = 0; goto reap
       fi
    fi END;
count: SUPSTEP
    if
    :: COUNTED(cnt[k], seq[k], TAG(W[k]))
    :: else -> cnt[k] = COUNT(seq[k], TAG(W[k]), TIMES(cnt[k]) + 1)
    fi;
    goto write_cell END;
write_cell: SUPSTEP
#ifndef MUT_SUP_NO_CELL
    cell[k] = CELL(seq[k], TAG(W[k]));
#endif
    goto give_back END;
give_back: SUPSTEP
    assert(LEFT(k));
    W[k] = WORD(LAP(W[k]), TAG(W[k]), 0, RETURNED); TOUCH; fails[id[k]]++; goto raise_returns END;
raise_returns: SUPSTEP
    returns++;
    if
    :: p == 0 -> k = 0; goto watch
    :: else -> k++; goto reap
    fi END;
#ifdef DROP
finish_drop: SUPSTEP
    dropm = dropm | BIT(id[k]); W[k] = FREED(W[k]); TOUCH; audit_free(k); goto reap END;
#endif
#if PURGES
purge: SUPSTEP
    if
    :: k >= N -> k = 0; crole = 0; purgepos = 0; TOUCH; goto watch
    :: else ->
       w = W[k];
       if
       :: ST(w) == READY && LAP(w) * N + k < purgepos -> purgem = purgem | BIT(id[k]); W[k] = FREED(w); TOUCH; audit_free(k)
       :: else
       fi;
       w = 0; k++; goto purge
    fi END;
#endif
finished: atomic {
    /* the books: nothing lost, nothing left but what a stopped process still claims */
    assert(sentm == (ackm | dropm | purgem) && !(ackm & dropm) && !(ackm & purgem));
#ifdef DROP
    k = 1; w = 0;
    do :: k > NP -> break :: else -> w = w + (dropped[k] >> 3); assert((dropped[k] & 7) == 0); k++ od;
    k = 0;
    do :: k == M -> break :: else -> w = w - ((dropm >> k) & 1); k++ od;
    assert(w == 0);                     /* every drop is counted once */
#endif
    k = 0;
    do
    :: k == N -> break
    :: else -> assert(ST(W[k]) == FREE || (dead[OWN(W[k])] == 2 && (ST(W[k]) == WRITING || ST(W[k]) == SKIPPED))); k++
    od
  }
}

init {
  atomic {
    byte x = 1;
    do
    :: x > NP -> break
    :: else -> run Producer(x); x++
    od;
    do
    :: x > NP + NC -> break
    :: else -> run CONSUMER(x); x++
    od;
    x = 0;
    run Supervisor()
  }
}
