/*
 * Blocks: who frees a block of the pool, while producer, consumer and supervisor are killed at any step.
 *
 * A block has one word {generation, owner, state} (and beside it, written while loaned, the slot and sequence that it is
 * for). Slots are reduced to what matters here: free, writing, ready, leased or returned, a sequence and a reference.
 * A word is swapped exactly, so a generation that went on makes every late step fail.
 *
 * Sizes:  NSLOT slots, NBLOCK blocks, producer 1 (and 2) sends PER messages each, consumers take, ack or nack
 * Events: KILLS at any step, NACKS, SUPKILLS (the successor starts over)
 */
#ifndef NSLOT
#define NSLOT 1
#endif
#ifndef NBLOCK
#define NBLOCK 2
#endif
#ifndef NP
#define NP 1
#endif
#ifndef NC
#define NC 1
#endif
#ifndef PER
#define PER 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef NACKS
#define NACKS 0
#endif
#ifndef SUPKILLS
#define SUPKILLS 0
#endif
#ifndef SKIPS
#define SKIPS 0
#endif
#define ALL (NP + NC)

#define FREE     0
#define WRITING  1
#define SKIPPED  2
#define READY    3
#define LEASED   4
#define RETURNED 5
#define IDLE     0
#define LOANED   1
#define INSLOT   2

/* a slot's word: {state, owner, turn}; the turn is raised by each free, as the lap is */
byte st[NSLOT], own[NSLOT], turn[NSLOT];
byte hseq[NSLOT], hblock[NSLOT], hgen[NSLOT];   /* header: sequence, reference (block + 1, 0 none) */
/* a block's word, and where it says it is */
byte bst[NBLOCK], bown[NBLOCK], bgen[NBLOCK], bslot[NBLOCK], bseq[NBLOCK];
byte dead, reaped, ended, sent, acked;
byte kills = KILLS, nacks = NACKS, supkills = SUPKILLS, skips = SKIPS;
bool dirty;

#define MINE (1 << (me - 1))
#define ISDEAD(p) (dead & (1 << ((p) - 1)))
#define UNREAPED (dead & ~reaped)
#define PDONE ((ended & ((1 << NP) - 1)) == ((1 << NP) - 1))
/* nobody will ever take again: producers go home, giving back the loan in hand */
#define NO_CONSUMERS ((dead >> NP) == (1 << NC) - 1)
#define STEP(wipe) STEP_WHEN(true, wipe)
#define STEP_WHEN(guard, wipe) \
  if \
  :: atomic { kills > 0 -> kills--; dead = dead | MINE; wipe; goto gone } \
  :: atomic { guard ->
#define END } fi
#define SEQ(s) (turn[s] * NSLOT + (s) + 1)
#define REFERS(s, b, g) (hblock[s] == (b) + 1 && hgen[s] == (g))

/* the property: a block that a live slot refers to, under this generation, is not freed */
inline free_block(b) {
  assert(bst[b] != IDLE);
  z = 0;
  do
  :: z == NSLOT -> break
  :: else -> assert(!((st[z] == READY || st[z] == LEASED || st[z] == RETURNED) && REFERS(z, b, bgen[b]))); z++
  od;
  z = 0;
  bst[b] = IDLE; bown[b] = 0; bgen[b]++; bslot[b] = 0; bseq[b] = 0; dirty = true
}

proctype Producer(byte me) {
  byte m, b, g, s, q, z;
#define WIPE m = 0; b = 0; g = 0; s = 0; q = 0; ended = ended | MINE; dirty = true
loan: STEP_WHEN(bst[0] == IDLE || bst[NBLOCK - 1] == IDLE || NO_CONSUMERS, WIPE)
    if
    :: NO_CONSUMERS -> WIPE; goto gone
    :: else
    fi;
    if
    :: bst[0] == IDLE -> b = 0
    :: bst[0] != IDLE -> b = NBLOCK - 1
    fi;
    g = bgen[b]; bst[b] = LOANED; bown[b] = me;
    goto claim END;
claim: STEP_WHEN(st[0] == FREE || st[NSLOT - 1] == FREE || NO_CONSUMERS, WIPE)
    if
    :: NO_CONSUMERS -> free_block(b); WIPE; goto gone
    :: else
    fi;
    if
    :: st[0] == FREE -> s = 0
    :: st[0] != FREE -> s = NSLOT - 1
    fi;
    st[s] = WRITING; own[s] = me; q = SEQ(s);
    goto header END;
header: STEP(WIPE)  /* word by word: who reads a header that is being written may see half of it */
    hseq[s] = q; goto header2 END;
header2: STEP(WIPE)
    hblock[s] = b + 1; hgen[s] = g;
#ifdef MUT_BLOCK_FIRST
    goto say
#else
    goto publish
#endif
    END;
publish: STEP(WIPE)
    if
    :: st[s] == SKIPPED -> st[s] = FREE; own[s] = 0; turn[s]++; s = 0; q = 0; goto claim
    :: else -> assert(st[s] == WRITING && own[s] == me); st[s] = READY; own[s] = 0; sent++; dirty = true;
#ifdef MUT_BLOCK_FIRST
       goto next
#else
       goto say
#endif
    fi END;
say: STEP(WIPE)     /* where the block is; the exact word */
    if
    :: bst[b] == LOANED && bown[b] == me && bgen[b] == g ->
       bst[b] = INSLOT; bslot[b] = s; bseq[b] = q;
#ifndef MUT_INSLOT_KEEPS_OWNER
       bown[b] = 0;
#endif
#ifdef MUT_BLOCK_FIRST
       goto publish
#elif defined(MUT_NO_RECHECK)
       goto next
#else
       goto recheck
#endif
    :: else -> goto next                    /* its consumer was quicker */
    fi END;
recheck: STEP(WIPE)  /* two reads: the word, and the sequence under it */
    if
    :: (st[s] == READY || st[s] == LEASED || st[s] == RETURNED) && hseq[s] == q -> goto next
    :: else -> goto free_it
    fi END;
free_it: STEP(WIPE)
    if :: bst[b] == INSLOT && bgen[b] == g -> free_block(b) :: else fi;
    goto next END;
next: STEP(WIPE)
    m++; b = 0; g = 0; s = 0; q = 0;
    if :: m == PER -> WIPE; goto gone :: else -> goto loan fi END;
gone: skip
#undef WIPE
}

proctype Consumer(byte me) {
  byte s, q, b, g, z;
#define WIPE s = 0; q = 0; b = 0; g = 0; ended = ended | MINE; dirty = true
#define TAKEABLE(x) (st[x] == READY || st[x] == RETURNED)
#define QUIT (PDONE && !UNREAPED && sent == acked)
take: STEP_WHEN(TAKEABLE(0) || TAKEABLE(NSLOT - 1) || QUIT || (skips > 0 && st[0] == WRITING), WIPE)
    if
    :: TAKEABLE(0) -> s = 0; st[0] = LEASED; own[0] = me; goto got
    :: !TAKEABLE(0) && TAKEABLE(NSLOT - 1) -> s = NSLOT - 1; st[s] = LEASED; own[s] = me; goto got
    :: !TAKEABLE(0) && !TAKEABLE(NSLOT - 1) && skips > 0 && st[0] == WRITING -> skips--; st[0] = SKIPPED; goto take
    :: QUIT && !TAKEABLE(0) && !TAKEABLE(NSLOT - 1) -> WIPE; goto gone
    fi END;
got: STEP(WIPE)
    q = hseq[s]; b = hblock[s] - 1; g = hgen[s];
    assert(hblock[s] != 0 && bgen[b] == g && bst[b] != IDLE);
    if
    :: goto ack
    :: nacks > 0 -> nacks--; goto nack
#ifdef MUT_ACK_BLOCK_FIRST
    :: goto free_loop
#endif
    fi END;
nack: STEP(WIPE)
    st[s] = RETURNED; own[s] = 0; s = 0; q = 0; b = 0; g = 0; goto take END;
ack: STEP(WIPE)
    assert(st[s] == LEASED && own[s] == me);
    st[s] = FREE; own[s] = 0; turn[s]++; acked++; dirty = true;
    goto free_loop END;
free_loop: STEP(WIPE)   /* loaned or in_slot, whatever this generation is in; the exact word, again if it moved */
    if
#ifdef MUT_FREE_ANY_GENERATION
    :: bst[b] != IDLE -> free_block(b)
#else
    :: bst[b] != IDLE && bgen[b] == g -> free_block(b)
#endif
    :: else
    fi;
    s = 0; q = 0; b = 0; g = 0;
    goto take END;
gone: skip
#undef WIPE
}

#define SUPSTEP if :: atomic { supkills > 0 -> supkills--; s = 0; b = 0; g = 0; t = 0; who = 0; found = false; goto watch } :: atomic { true ->

proctype Supervisor() {
  byte s, b, g, t, q, who, z;
  bool found;
watch: if
  :: atomic { UNREAPED != 0 -> who = UNREAPED; goto slots }
  :: atomic { UNREAPED == 0 && ended == ((1 << ALL) - 1) -> goto finished }
  fi;
slots: SUPSTEP          /* first the slots of the dead */
    if
    :: s == NSLOT -> s = 0; goto blocks
    :: else ->
       if
       :: own[s] != 0 && ISDEAD(own[s]) && (st[s] == WRITING || st[s] == SKIPPED) -> st[s] = FREE; own[s] = 0; turn[s]++
       :: own[s] != 0 && ISDEAD(own[s]) && st[s] == LEASED -> st[s] = RETURNED; own[s] = 0
       :: else
       fi;
       s++; goto slots
    fi END;
blocks: SUPSTEP         /* then every block: a dead owner's loan, and whatever says that it is in a slot */
    found = false; s = 0;
    if
    :: b == NBLOCK -> b = 0; reaped = reaped | who; who = 0; goto watch
    :: else ->
       g = bgen[b];
       if
#ifdef MUT_ONLY_THIS_DEATH
       :: bst[b] == LOANED && ((who >> (bown[b] - 1)) & 1) -> goto refs
#else
       :: bst[b] == LOANED && ISDEAD(bown[b]) -> goto refs
#endif
       :: bst[b] == INSLOT -> s = bslot[b]; q = bseq[b]; goto there
       :: else -> b++; goto blocks
       fi
    fi END;
refs: SUPSTEP           /* does a slot refer to {block, generation}? Word and header, and the word again, unchanged */
    if
#ifdef MUT_LOAN_FREED_ALWAYS
    :: true -> s = 0; goto free_loan
#endif
    :: s == NSLOT -> s = 0;
       if :: found -> b++; found = false; goto blocks :: else -> goto free_loan fi
    :: else ->
       if
       :: (st[s] == READY || st[s] == LEASED || st[s] == RETURNED) && REFERS(s, b, g) ->
#if defined(MUT_NO_CONVERT) || defined(MUT_ONLY_THIS_DEATH)
          found = true; s++; goto refs
#else
          /* say for the dead what it did not come to say; checked again by the in_slot rule */
          if
          :: bst[b] == LOANED && bgen[b] == g -> bst[b] = INSLOT; bown[b] = 0; bslot[b] = s; bseq[b] = hseq[s]
          :: else
          fi;
          s = 0; goto blocks
#endif
       :: else -> s++; goto refs
       fi
    fi END;
free_loan: SUPSTEP
    if :: bst[b] == LOANED && bgen[b] == g -> free_block(b) :: else fi;
    b++; g = 0; goto blocks END;
there: SUPSTEP          /* is that message still in that slot? */
    if
#ifdef MUT_NOT_WHILE_WRITING
    :: st[s] == WRITING || st[s] == SKIPPED -> s = 0; q = 0; b++; goto blocks
#endif
#ifdef MUT_SEQ_ALONE
    :: hseq[s] == q -> s = 0; q = 0; b++; goto blocks
#else
    :: (st[s] == READY || st[s] == LEASED || st[s] == RETURNED) && hseq[s] == q -> s = 0; q = 0; b++; goto blocks
#endif
    :: else -> s = 0; q = 0; goto free_inslot
    fi END;
free_inslot: SUPSTEP
    if :: bst[b] == INSLOT && bgen[b] == g -> free_block(b) :: else fi;
    b++; g = 0; goto blocks END;
finished: atomic {
    /* nothing is left behind: every block is idle, or (all consumers dead) in a slot that holds it */
    b = 0;
    do
    :: b == NBLOCK -> break
    :: else ->
       assert(bst[b] == IDLE || (bst[b] == INSLOT || bst[b] == LOANED) &&
              ((st[0] != FREE && REFERS(0, b, bgen[b])) || (st[NSLOT - 1] != FREE && REFERS(NSLOT - 1, b, bgen[b]))));
       assert(bown[b] == 0);                /* nobody's number is kept from being given out again */
       b++
    od
  }
}

init {
  atomic {
    byte x = 1;
    do :: x > NP -> break :: else -> run Producer(x); x++ od;
    do :: x > ALL -> break :: else -> run Consumer(x); x++ od;
    x = 0;
    run Supervisor()
  }
}
