/*
 * Participant numbers: when may a number be given to somebody else?
 *
 * A client (a process) is attached under a number. It takes a slot and a block under it, works, and gives them back, each
 * in single steps. It may detach in order, hang up (its socket closes, the process lives on and keeps stepping), or die
 * (hung up or not). The supervisor gives leases back after a hang-up; claims, loans and the number only once the process
 * has ended, or has detached and nothing carries the number any more. With one number and two clients, the second can only
 * come in under the first one's number.
 *
 * Properties: what a client does under its number never changes what belongs to its successor; a live client's claim and
 * loan are never reclaimed under its hands; at the end nothing carries a number, and every client had its turn.
 */
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SUPKILLS
#define SUPKILLS 0
#endif

#define FREE    0
#define WRITING 1
#define SKIPPED 2
#define READY   3
#define LEASED  4
#define BACK    5                       /* returned */
byte st[2], own[2], lap[2], tag[2];     /* slots: 0 is claimed by producers, 1 holds a message to be leased */
byte bst, bown, bgen;                   /* a block: idle 0, loaned 1 */
byte holder;                            /* ghost: the client that has the number now, 0 nobody */
byte truth[3];                          /* ghost: which client really took slot 0, slot 1, the block */
bool attached[CLIENTS + 1], hung[CLIENTS + 1], ended[CLIENTS + 1], detached[CLIENTS + 1];
bool taken;                             /* the registry: the number is in use */
bool scanned, leases_back;
byte supkills = SUPKILLS;
#define NUMBER 1
#define CARRIED (own[0] == NUMBER || own[1] == NUMBER || bown == NUMBER)


proctype Client(byte me) {
  byte round, l, t, g;
  /* attach: the supervisor hands the number out */
  atomic { attached[me] || false -> skip }
work: if
  :: atomic { ended[me] = true; hung[me] = true; goto gone }
  :: atomic { !hung[me] -> hung[me] = true; goto work }
  :: atomic { round < ROUNDS -> round++; goto claim }
  :: atomic { round == ROUNDS -> goto detach }
  fi;
#define OR_DIE(here) \
  :: atomic { true -> ended[me] = true; hung[me] = true; l = 0; t = 0; g = 0; goto gone } \
  :: atomic { !hung[me] -> hung[me] = true; goto here }
claim: if
  OR_DIE(claim)
  :: atomic { st[0] == FREE -> st[0] = WRITING; own[0] = NUMBER; l = lap[0]; truth[0] = me; goto publish }
  fi;
publish: if
  OR_DIE(publish)
  :: atomic { st[0] == WRITING && own[0] == NUMBER && lap[0] == l ->
     assert(truth[0] == me); st[0] = FREE; own[0] = 0; lap[0]++; truth[0] = 0; l = 0; goto loan }  /* sent, and consumed at once */
  :: atomic { !(st[0] == WRITING && own[0] == NUMBER && lap[0] == l) -> assert(false) }  /* reclaimed under its hands */
  fi;
loan: if
  OR_DIE(loan)
  :: atomic { bst == 0 -> bst = 1; bown = NUMBER; g = bgen; truth[2] = me; goto unloan }
  fi;
unloan: if
  OR_DIE(unloan)
  :: atomic { bst == 1 && bown == NUMBER && bgen == g ->
     assert(truth[2] == me); bst = 0; bown = 0; bgen++; truth[2] = 0; g = 0; goto take }
  :: atomic { !(bst == 1 && bown == NUMBER && bgen == g) -> assert(false) }
  fi;
take: if
  OR_DIE(take)
  :: atomic { st[1] == READY || st[1] == BACK -> st[1] = LEASED; own[1] = NUMBER; tag[1]++; t = tag[1]; truth[1] = me; goto ack }
  :: atomic { st[1] == LEASED -> goto work }            /* somebody else has it */
  fi;
ack: if
  OR_DIE(ack)
  :: atomic { st[1] == LEASED && own[1] == NUMBER && tag[1] == t ->
     assert(truth[1] == me); st[1] = BACK; own[1] = 0; truth[1] = 0; t = 0; goto work }    /* a nack, so that the next has something */
  :: atomic { !(st[1] == LEASED && own[1] == NUMBER && tag[1] == t) -> t = 0; goto work }  /* stale: it had hung up */
  fi;
detach: if
  OR_DIE(detach)
  :: atomic { !hung[me] -> detached[me] = true; goto after }
  :: atomic { hung[me] -> ended[me] = true; goto gone }
  fi;
after: atomic { true -> ended[me] = true; hung[me] = true }
gone: skip
}

proctype Supervisor() {
  byte c = 1;
#define SUPSTEP if :: atomic { supkills > 0 -> supkills--; goto watch } :: atomic { true ->
#define SUPEND } fi
watch: if
  :: atomic { !taken && c <= CLIENTS -> taken = true; holder = c; leases_back = false; attached[c] = true }
#ifdef MUT_HAND_OUT_FIRST
  :: atomic { taken && ended[holder] -> goto hand_out }
#else
  :: atomic { taken && ended[holder] -> goto reclaim }
#endif
  :: atomic { taken && detached[holder] && !ended[holder] -> goto detach }
  :: atomic { taken && hung[holder] && !ended[holder] && !leases_back -> goto hangup }
  :: atomic { c > CLIENTS && !taken -> goto finished }
  fi;
  goto watch;
hangup: SUPSTEP         /* leases only */
    if :: own[1] == NUMBER && st[1] == LEASED -> st[1] = BACK; own[1] = 0; truth[1] = 0 :: else fi;
#ifdef MUT_HANGUP_TAKES_CLAIMS
    if :: own[0] == NUMBER -> st[0] = FREE; own[0] = 0; lap[0]++ :: else fi;
#endif
    leases_back = true;
#ifdef MUT_HANGUP_FREES_NUMBER
    goto hand_out
#else
    goto watch
#endif
    SUPEND;
detach:                 /* in order: what it still holds is a lease whose handle nobody can use any more, and nothing else */
    SUPSTEP
    if :: own[1] == NUMBER && st[1] == LEASED -> st[1] = BACK; own[1] = 0; truth[1] = 0 :: else fi;
    goto look SUPEND;
reclaim: SUPSTEP
#ifndef MUT_RECLAIM_FORGETS_SLOT
    if :: own[0] == NUMBER -> st[0] = FREE; own[0] = 0; lap[0]++; truth[0] = 0 :: else fi;
#endif
    goto reclaim2 SUPEND;
reclaim2: SUPSTEP
    if :: own[1] == NUMBER && st[1] == LEASED -> st[1] = BACK; own[1] = 0; truth[1] = 0 :: else fi;
    goto reclaim3 SUPEND;
reclaim3: SUPSTEP
    if :: bown == NUMBER -> bst = 0; bown = 0; bgen++; truth[2] = 0 :: else fi;
    goto look SUPEND;
look: SUPSTEP
    assert(!CARRIED);
    goto hand_out SUPEND;
hand_out: SUPSTEP
    taken = false; holder = 0; c++; goto watch SUPEND;
finished: assert(!CARRIED && st[0] == FREE && bst == 0)
}

init { atomic { st[1] = READY; byte x = 1; do :: x > CLIENTS -> break :: else -> run Client(x); x++ od; run Supervisor() } }
