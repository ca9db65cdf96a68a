/*
 * Moves between two queues by a supervisor that may be killed at every step.
 *
 * Messages go into queue 0. Its consumer acks or rejects; the supervisor moves what was rejected to queue 1, the dead
 * letters, and may move it back by hand (redrive). Both queues have a consumer and a producer of their own. A move is: claim a
 * slot of the target (writing, owner 0), fill it, write the mark (where from) and the note `moving`, hold it (leased(0)), free the
 * source (the commit), return it. A successor settles what it finds noted as moving before it decides on anything, by whether
 * the source still has the message; then it frees claims of 0 and decides on leased(0) as a sweep does.
 *
 * A slot is its state, its lap (a free raises it; slot and lap are the sequence) and what lies beside it. A note speaks of one lap; here
 * a free clears it. Passing over occupied slots, tags and the returned map are slot_ring.pml's.
 *
 * Properties: no message is delivered by both queues, or after its ack; each is acked (a lost one is a deadlock); at the end all
 * slots are free.
 */
#ifndef N
#define N 2             /* slots a queue */
#endif
#ifndef PER
#define PER 2           /* messages sent to queue 0 */
#endif
#ifndef OTHERS
#define OTHERS 1        /* and to queue 1, by a producer of its own */
#endif
#ifndef REJECTS
#define REJECTS 2
#endif
#ifndef REDRIVES
#define REDRIVES 0
#endif
#ifndef SUPKILLS
#define SUPKILLS 1
#endif
#ifndef KILLS
#define KILLS 0         /* of consumers, with a message in hand */
#endif
#ifndef SKIPS
#define SKIPS 1         /* of claims, by consumers */
#endif
#define ALL (PER + OTHERS)

#define FREE    0
#define WRITING 1
#define SKIPPED 2
#define READY   3
#define LEASED  4
#define BACK    5       /* returned */
#define NOBODY  0       /* owners: the supervisor, or nobody */
#define ALIVE   1
#define DEAD    2
#define NONE     0      /* notes */
#define REJECTED 1
#define MOVING   2
#define TAKEN    3
#define AT(q, i) ((q) * N + (i))

byte st[2 * N], own[2 * N], lap[2 * N], msg[2 * N], note[2 * N];
byte mark_slot[2], mark_lap[2], mark_to[2], mark_to_lap[2];     /* in the target's header; the other queue is the source */
byte acked[ALL + 1];    /* ghosts */
bool in_hand[ALL + 1];
byte total;
byte rejects = REJECTS, redrives = REDRIVES, supkills = SUPKILLS, kills = KILLS, skips = SKIPS;

inline freed(s) { st[s] = FREE; own[s] = NOBODY; lap[s]++; msg[s] = 0; note[s] = NONE }

proctype Producer(byte q, first, count) {
  byte s, sent;
next: if
  :: atomic { sent == count -> goto gone }
  :: atomic { sent < count -> s = q * N;
     do :: s < (q + 1) * N && st[s] != FREE -> s++ :: else -> break od;
     if :: s < (q + 1) * N -> st[s] = WRITING; own[s] = ALIVE; msg[s] = first + sent
        :: else -> s = 0; goto crowded fi }
  fi;
  if
  :: atomic { st[s] == WRITING -> st[s] = READY; own[s] = NOBODY; sent++; s = 0; goto next }
  :: atomic { st[s] == SKIPPED -> freed(s); s = 0; goto next }
  fi;
crowded: atomic { st[q * N] == FREE || st[q * N + 1] == FREE -> goto next }
gone: skip
}

proctype Consumer(byte q) {
  byte s;
look: if
  :: atomic { total == ALL -> goto gone }
  :: atomic { st[AT(q, 0)] == READY || st[AT(q, 0)] == BACK -> s = AT(q, 0); goto have }
  :: atomic { st[AT(q, 1)] == READY || st[AT(q, 1)] == BACK -> s = AT(q, 1); goto have }
  :: atomic { skips > 0 && st[AT(q, 0)] == WRITING -> skips--; st[AT(q, 0)] = SKIPPED; goto look }
  :: atomic { skips > 0 && st[AT(q, 1)] == WRITING -> skips--; st[AT(q, 1)] = SKIPPED; goto look }
  fi;
have: atomic { if
  :: st[s] == READY || st[s] == BACK ->
     assert(acked[msg[s]] == 0); assert(!in_hand[msg[s]]);
     st[s] = LEASED; own[s] = ALIVE; in_hand[msg[s]] = true
  :: else -> s = 0; goto look   /* taken by hand */
  fi }
  if
  :: atomic { true -> acked[msg[s]]++; total++; in_hand[msg[s]] = false; freed(s) }
  :: atomic { q == 0 && rejects > 0 -> rejects--; in_hand[msg[s]] = false; st[s] = LEASED; own[s] = NOBODY; note[s] = REJECTED }
  :: atomic { kills > 0 -> kills--; in_hand[msg[s]] = false; own[s] = DEAD }    /* and another comes in its place */
  fi;
  atomic { s = 0; goto look };
gone: skip
}

proctype Supervisor() {
  byte s, t, q, l;      /* source and target slot, source queue, the lap of the claim */
  bool by_hand;
#define STEP if :: atomic { supkills > 0 -> supkills--; s = 0; t = 0; q = 0; l = 0; by_hand = false; goto start } :: atomic { true ->
#define END } fi
#define HELD(x)    (st[x] == LEASED && own[x] == NOBODY)
#define CLAIM0(x)  ((st[x] == WRITING || st[x] == SKIPPED) && own[x] == NOBODY)
#define ROOM(x)    (st[AT(x, 0)] == FREE || st[AT(x, 1)] == FREE)
#define HAS(x)     (mark_lap[(x) / N] == lap[mark_slot[(x) / N]] && st[mark_slot[(x) / N]] >= READY)
#define MARKED(x)  (mark_to[(x) / N] == (x) && mark_to_lap[(x) / N] == lap[x])
start:
#ifdef MUT_SETTLE_LATER
  goto work;
#endif
settle: STEP            /* s runs over all slots */
  if
  :: s == 2 * N -> s = 0; goto work
  :: s < 2 * N && HELD(s) && note[s] == MOVING ->
     assert(MARKED(s));
#ifdef MUT_ALWAYS_FINISH
     st[s] = BACK; note[s] = NONE; s++
#else
#ifdef MUT_ALWAYS_UNDO
     freed(s); s++
#else
     if :: HAS(s) -> freed(s) :: else -> st[s] = BACK; note[s] = NONE fi; s++
#endif
#endif
  :: else -> s++
  fi; goto settle END;
work: if
  :: atomic { total == ALL && !HELD(0) && !HELD(1) && !HELD(2) && !HELD(3) && !CLAIM0(0) && !CLAIM0(1) && !CLAIM0(2) && !CLAIM0(3)
     -> goto finished }
  :: atomic { HELD(0) && note[0] == REJECTED && ROOM(1) -> s = 0; q = 0; goto claim }
  :: atomic { HELD(1) && note[1] == REJECTED && ROOM(1) -> s = 1; q = 0; goto claim }
  :: atomic { redrives > 0 && (st[2] == BACK || st[2] == READY) && ROOM(0) -> redrives--; s = 2; goto take }
  :: atomic { redrives > 0 && (st[3] == BACK || st[3] == READY) && ROOM(0) -> redrives--; s = 3; goto take }
#define DECIDE(x) \
  :: atomic { HELD(x) && (note[x] == NONE || note[x] == TAKEN) -> st[x] = BACK; note[x] = NONE; goto work } \
  :: atomic { st[x] == LEASED && own[x] == DEAD -> st[x] = BACK; own[x] = NOBODY; note[x] = NONE; goto work } \
  :: atomic { CLAIM0(x) -> freed(x); goto work }
  DECIDE(0) DECIDE(1) DECIDE(2) DECIDE(3)
#ifdef MUT_SETTLE_LATER
  :: atomic { HELD(0) && note[0] == MOVING -> s = 0; goto settle }
  :: atomic { HELD(1) && note[1] == MOVING -> s = 0; goto settle }
  :: atomic { HELD(2) && note[2] == MOVING -> s = 0; goto settle }
  :: atomic { HELD(3) && note[3] == MOVING -> s = 0; goto settle }
#endif
  :: atomic { supkills > 0 -> supkills--; goto start }
  fi;
take: STEP              /* by hand, out of queue 1 */
  q = 1; by_hand = true;
  if :: st[s] == BACK || st[s] == READY -> st[s] = LEASED; own[s] = NOBODY; note[s] = TAKEN; goto claim
     :: else -> goto leave fi END;
claim: STEP             /* of a slot in the other queue */
  if
  :: st[AT(1 - q, 0)] == FREE -> t = AT(1 - q, 0)
  :: st[AT(1 - q, 0)] != FREE && st[AT(1 - q, 1)] == FREE -> t = AT(1 - q, 1)
  :: else -> goto no_room
  fi;
  st[t] = WRITING; own[t] = NOBODY; l = lap[t];
#ifdef MUT_COMMIT_FIRST
  msg[t] = msg[s]; freed(s)
#endif
  END;
#ifndef MUT_COMMIT_FIRST
  STEP msg[t] = msg[s] END;
#endif
#ifndef MUT_NOTE_BEFORE_MARK
  STEP mark_slot[1 - q] = s; mark_lap[1 - q] = lap[s]; mark_to[1 - q] = t; mark_to_lap[1 - q] = l END;
#endif
#ifndef MUT_HOLD_BEFORE_NOTE
  STEP note[t] = MOVING END;
#endif
hold: STEP
  if
  :: st[t] == WRITING -> st[t] = LEASED
  :: else -> freed(t); t = 0; goto claim        /* skipped: again */
  fi END;
#ifdef MUT_HOLD_BEFORE_NOTE
  STEP note[t] = MOVING END;
#endif
#ifdef MUT_NOTE_BEFORE_MARK
  STEP mark_slot[1 - q] = s; mark_lap[1 - q] = lap[s]; mark_to[1 - q] = t; mark_to_lap[1 - q] = l END;
#endif
#ifdef MUT_RETURN_FIRST
  STEP st[t] = BACK END;
#endif
#ifndef MUT_COMMIT_FIRST
  STEP freed(s) END;
#endif
#ifndef MUT_RETURN_FIRST
  STEP st[t] = BACK END;
#endif
  STEP if :: lap[t] == l && note[t] == MOVING -> note[t] = NONE :: else fi END;
  goto leave;
no_room: STEP
  if :: by_hand -> st[s] = BACK; note[s] = NONE :: else fi END;
leave: atomic { s = 0; t = 0; q = 0; l = 0; by_hand = false; goto work };
finished:
  assert(st[0] == FREE && st[1] == FREE && st[2] == FREE && st[3] == FREE)
}

init {
  atomic {
    run Producer(0, 1, PER);
    if :: OTHERS > 0 -> run Producer(1, PER + 1, OTHERS) :: else fi;
    run Consumer(0); run Consumer(1); run Supervisor()
  }
}
