/*
 * The gate: how a queue with a journal goes over to the disk and comes back, and nothing is lost, doubled or overtaken.
 *
 * Producers send into the front ring while the gate says direct, else into the ingress ring, which the daemon alone
 * empties: into the log, or straight into the front ring while the log is empty. Each ring's own protocol is
 * slot_ring.pml's question: here a send into a ring is one step, and only the daemon's refill, which has to be seen half
 * done by its successor, claims and publishes in two. The log is what was written; a write is one step.
 *
 * Sizes:  NP producers of PER messages each, NF slots in the front ring, NI in the ingress
 * Events: KILLS (the daemon, at any step; its successor starts from what is in the segment and in the log), STOPS (a
 *         producer, for ever, between any two steps), CLOSES (how often the daemon tries to go back to direct: it and a
 *         producer could call the gate to and fro for ever)
 * Asked:  each message whose send returned comes exactly once; those of a producer in their order; a message whose send
 *         returned before another's began, first (promise 3); whoever stops, the others end.
 */
#ifndef NP
#define NP 2
#endif
#ifndef PER
#define PER 2
#endif
#ifndef NF
#define NF 1
#endif
#ifndef NI
#define NI 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef CLOSES
#define CLOSES 2
#endif
#ifndef STOPS
#define STOPS 0
#endif
#define M (NP * PER)
/* Positions of the front ring that are ever used: each message, and each claim of a dead or skipped refill. */
#define POSITIONS (2 * M + KILLS + 2)

mtype = { direct, journal, closing };   /* the gate */
mtype = { unused, claimed, ready, skipped, gone };
mtype = { open, filled, closed };         /* a slot of the ingress */

mtype gate = direct;
byte epoch;                             /* of the gate: one word with it */
mtype front[POSITIONS] = unused;
byte front_message[POSITIONS];
byte front_head, front_tail;
mtype ingress[NI] = open;
byte ingress_message[NI];
byte mark[NI];                          /* the epoch that a closed slot carries */
byte ingress_head, ingress_tail;
byte log[M];
byte log_head, log_tail;
byte logged;                            /* ingress positions before it are in the log; the records say so */
bool noted;                             /* the refill under way: from where, and to which front position */
bool note_from_log;
byte note_source, note_front;

byte began[M];                          /* the sends that had returned when this one began: a bit each */
byte returned, delivered;
byte last[NP];
byte kills = KILLS, stops = STOPS, closes = CLOSES;

#define FRONT_HAS_ROOM (front_tail - front_head < NF)
#define INGRESS_HAS_ROOM (ingress_tail - ingress_head < NI)
#define TAIL_SLOT (ingress_tail % NI)
#define FREE_INGRESS_HEAD ingress[ingress_head % NI] = open; ingress_message[ingress_head % NI] = 0; ingress_head++
#define BIT(m) (1 << (m))
#ifdef MUT_OLD_MARK
#define OUR_MARK true
#else
#define OUR_MARK (mark[TAIL_SLOT] == seen_epoch)
#endif
#ifdef MUT_CLOSE_NOTHING
#define SHUT (ingress_head == ingress_tail)
#else
#define SHUT (ingress_head == ingress_tail && ingress[TAIL_SLOT] == closed && OUR_MARK)
#endif

proctype Producer(byte me) {
  byte k, m, seen_epoch;
  mtype seen;
#define STOP_HERE if :: atomic { stops > 0 -> stops--; goto stopped } :: true fi
  do
  :: k == PER -> break
  :: else ->
    atomic { m = me * PER + k; began[m] = returned }
again:
    STOP_HERE;
    atomic { seen = gate; seen_epoch = epoch };
    STOP_HERE;
    if
    :: seen == direct ->
      if
      :: atomic { FRONT_HAS_ROOM ->
           front[front_tail] = ready; front_message[front_tail] = m; front_tail++ }
      :: atomic { !FRONT_HAS_ROOM ->
           if
           :: gate == direct && epoch == seen_epoch -> gate = journal; epoch++
           :: else
           fi };
        goto again
      fi
    :: else ->
      if
      :: atomic { INGRESS_HAS_ROOM && ingress[TAIL_SLOT] == open ->
           ingress[TAIL_SLOT] = filled; ingress_message[TAIL_SLOT] = m; ingress_tail++ }
      :: atomic { INGRESS_HAS_ROOM && ingress[TAIL_SLOT] == closed ->
           seen = gate; seen_epoch = epoch };
        STOP_HERE;
        if
        :: seen == closing ->
          atomic {
            if
            :: gate == closing && epoch == seen_epoch -> gate = journal; epoch++
            :: else
            fi }
        :: seen == journal ->
          /* Opened by whoever comes first, whoever called the gate back. */
          atomic {
            if
#ifdef MUT_REOPEN_ANY
            :: ingress[TAIL_SLOT] == closed -> ingress[TAIL_SLOT] = open; mark[TAIL_SLOT] = 0
#else
            :: ingress[TAIL_SLOT] == closed && mark[TAIL_SLOT] < seen_epoch ->
              ingress[TAIL_SLOT] = open; mark[TAIL_SLOT] = 0
#endif
            :: else
            fi }
        :: seen == direct
        fi;
        goto again
      fi
    fi;
    STOP_HERE;
    atomic { returned = returned | BIT(m); k++; m = 0; seen = 0; seen_epoch = 0 }
  od;
stopped:
  skip
}

/* A refill: claim, note, publish, the source moves on, the note goes. What was skipped is not published. */
#define STEP if :: atomic { kills > 0 -> kills--; goto killed } :: true fi
inline refill(from_log, source, m) {
  atomic { at = front_tail; front[at] = claimed; front_message[at] = m; front_tail++ };
  STEP;
#ifndef MUT_NO_NOTE
  atomic { noted = true; note_from_log = from_log; note_source = source; note_front = at };
#endif
  STEP;
  atomic {
    if
    :: front[at] == claimed -> front[at] = ready; published = true
    :: else -> published = false
    fi };
  STEP;
  if
  :: published -> move_on(from_log)
  :: else
  fi;
  STEP;
  atomic { noted = false; note_from_log = false; note_source = 0; note_front = 0 };
  STEP;
  /* The note goes first: a free slot at its position would pass for a published one. */
  atomic {
    if
    :: !published -> front[at] = gone; front_message[at] = 0
    :: else
    fi;
    at = 0; m = 0; published = false }
}
inline move_on(from_log) {
  atomic {
    if
    :: from_log -> log[log_head] = 0; log_head++
    :: else -> FREE_INGRESS_HEAD
    fi }
}

#define SOURCE_STANDS ((note_from_log && log_head == note_source) || (!note_from_log && ingress_head == note_source))
/* What a successor finds: a refill half done, claims of the dead, logged messages that are still in the ingress. */
inline recover() {
  if
  :: noted ->
    /* The source has moved on where it no longer stands where the note says. */
    if
    :: front[note_front] != claimed && front[note_front] != skipped && SOURCE_STANDS -> move_on(note_from_log)
    :: else
    fi;
    STEP;
    atomic { noted = false; note_from_log = false; note_source = 0; note_front = 0 }
  :: else
  fi;
  STEP;
  d_step {
    at = 0;
    do
    :: at == POSITIONS -> break
    :: else ->
      if
      :: front[at] == claimed || front[at] == skipped -> front[at] = gone; front_message[at] = 0
      :: else
      fi;
      at++
    od;
    at = 0 };
#ifndef MUT_APPEND_AGAIN
  do
  :: ingress_head < logged -> STEP; atomic { FREE_INGRESS_HEAD }
  :: else -> break
  od
#endif
}

proctype Daemon() {
  byte at, seen_epoch, m;
  bool published;
begin:
  atomic { at = 0; seen_epoch = 0; m = 0; published = false };
  recover();
end:
  do
  :: log_head < log_tail && FRONT_HAS_ROOM ->
    m = log[log_head];
    refill(true, log_head, m)
  :: ingress_head < ingress_tail && (log_head < log_tail || !FRONT_HAS_ROOM) ->
    atomic { log[log_tail] = ingress_message[ingress_head % NI]; log_tail++; logged = ingress_head + 1 };
    STEP;
    atomic { FREE_INGRESS_HEAD }
#ifdef MUT_STRAIGHT_PAST_THE_LOG
  :: ingress_head < ingress_tail && FRONT_HAS_ROOM ->
#else
  :: ingress_head < ingress_tail && log_head == log_tail && FRONT_HAS_ROOM ->
#endif
    m = ingress_message[ingress_head % NI];
    refill(false, ingress_head, m)
  /* Nothing is left here: back to direct, unless somebody wants the ingress meanwhile. A successor goes on from
     closing, whether its predecessor came as far as the slot or not. A slot that is closed already is marked anew: who
     saw the gate called back in between could still open one with the old mark. */
  :: gate != direct && (gate == closing || closes > 0) && log_head == log_tail && ingress_head == ingress_tail ->
    atomic {
      if
      :: gate == journal && closes > 0 -> gate = closing; epoch++; closes--
      :: else
      fi;
      seen_epoch = epoch };
    STEP;
#ifndef MUT_CLOSE_NOTHING
    atomic {
      if
      :: ingress_head == ingress_tail && (ingress[TAIL_SLOT] == open || !OUR_MARK) ->
        ingress[TAIL_SLOT] = closed; mark[TAIL_SLOT] = seen_epoch
      :: else
      fi };
#endif
    STEP;
    atomic {
      if
      :: gate == closing && epoch == seen_epoch && SHUT -> gate = direct; epoch++
      :: gate == closing && epoch == seen_epoch && ingress_head != ingress_tail -> gate = journal; epoch++
      :: else
      fi };
    STEP
  od;
killed:
  goto begin
}

proctype Consumer() {
  byte m, by;
end:
  do
  :: atomic { front_head < front_tail && front[front_head] == ready ->
       m = front_message[front_head]; front[front_head] = gone; front_message[front_head] = 0; front_head++;
       by = m / PER;
       assert(!(delivered & BIT(m)));                      /* once */
       assert(m % PER == last[by]);                        /* in its producer's order */
       assert((began[m] & ~delivered) == 0);               /* who returned before it began came before */
       delivered = delivered | BIT(m); last[by]++; m = 0; by = 0 }
  /* Past a claim that is not published, once there is something beyond it. */
  :: atomic { front_head + 1 < front_tail && front[front_head] == claimed && front[front_head + 1] == ready ->
       front[front_head] = skipped; front_head++ }
  :: atomic { front_head < front_tail && (front[front_head] == gone || front[front_head] == skipped) -> front_head++ }
  od
}

init {
  byte p;
  atomic {
    run Daemon();
    run Consumer();
    do
    :: p == NP -> break
    :: else -> run Producer(p); p++
    od
  }
  /* When nothing can go on: what returned came; and with nobody stopped, that is everything. */
  timeout ->
    assert((returned & ~delivered) == 0);
    assert(STOPS > 0 || returned == BIT(M) - 1)
}
