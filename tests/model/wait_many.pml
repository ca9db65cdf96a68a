/*
 * Waiting for many queues at once: the eventcount of wait.pml, with sleepers that stand in the kernel's queues of two
 * words. A wake-up on one word takes such a sleeper off that word's queue alone; until it runs it can use up a wake-up of
 * the other word as well. It looks, takes nothing before it has said what it found, and whoever it tells may take late
 * or never: so it first wakes another sleeper of each queue where something is.
 *
 * What is asked is again whether somebody sleeps who should not: when nothing else can happen (spin's timeout), no
 * consumer may be asleep on a queue with a message whose send has returned. Nobody looks again unwoken.
 *
 * Sizes:  two queues with a producer each, PER messages of each; NC consumers: the first waits for both queues, SETS of
 *         them do, the others take from the second queue alone, as receive does
 * Events: KILLS (consumers, at any step; reaped), BUSY (one that was told and takes nothing, then or ever), LEAVES
 * TSO:    exclusive producers: a publish stays in the store buffer until it is flushed, by itself, by an atomic operation
 *         of its producer, or by the sleeper's membarrier, of which there is one for both queues
 */
#ifndef PER
#define PER 1
#endif
#ifndef NC
#define NC 2
#endif
#ifndef SETS
#define SETS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef BUSY
#define BUSY 0
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#define FIRST 3                         /* consumers are numbered from here, producers are 1 and 2 */
#define LAST (FIRST + NC - 1)
#define SUPERVISOR 6

byte published[2], taken[2], returned[2], count[2];
byte same_over[2], same_signal[2];      /* a bit for each reader: has not moved since it read */
byte queued[2];                         /* a bit for each that stands in the kernel's queue of that signal */
bool asleep[SUPERVISOR], dead[SUPERVISOR];
byte kills = KILLS, busy = BUSY, leaves = LEAVES;
#ifdef TSO
bool buffered[2];
#define FLUSH(q) if :: buffered[q] -> buffered[q] = false; published[q]++ :: else fi
#else
#define FLUSH(q) skip
#endif

#define MINE (1 << (me - 1))
#define THERE(q) (taken[q] < published[q])
#define READ_OVER(q) same_over[q] = same_over[q] | MINE
#define READ_SIGNAL(q) same_signal[q] = same_signal[q] | MINE
#define RAISE(q) same_signal[q] = 0
#define WAKE(q, c) (queued[q] & (1 << (c - 1))) -> queued[q] = queued[q] & ~(1 << (c - 1)); asleep[c] = false; strike = 1

inline wake_one(q) {
  if
  :: WAKE(q, 3)
#if NC > 1
  :: WAKE(q, 4)
#endif
#if NC > 2
  :: WAKE(q, 5)
#endif
  :: queued[q] == 0                     /* nobody sleeps of those who had registered by then */
  fi
}
inline strike_off(q, n) {
  if
  :: (same_over[q] & MINE) && count[q] >= n && n > 0 -> count[q] = count[q] - n; same_over[q] = 0
  :: else
  fi;
  same_over[q] = same_over[q] & ~MINE
}

proctype Producer(byte me) {
  byte q = me - 1, m, strike;
publish: atomic {
#ifdef TSO
    FLUSH(q); buffered[q] = true
#else
    published[q]++
#endif
  }
  atomic { if :: count[q] > 0 -> READ_OVER(q); strike = count[q] :: else -> goto done fi }
  atomic { FLUSH(q); RAISE(q) }
  atomic { wake_one(q) }
  atomic { strike_off(q, strike); strike = 0 }
done: atomic {
    returned[q]++; m++;
    if :: m < PER -> goto publish :: else m = 0 fi
  }
}

#ifdef TSO
active proctype Hardware() {
end: do
  :: atomic { buffered[0] -> FLUSH(0) }
  :: atomic { buffered[1] -> FLUSH(1) }
  od
}
#endif

/* Each step of a consumer; it may be killed before it. */
#define STEP if :: atomic { kills > 0 -> kills--; goto die } :: atomic { true ->
#define END } fi

proctype Consumer(byte me; byte first) {
  byte q = first, strike;
  bool slept, rel;
again: STEP
    q = first;
    if
    :: (first == 0 && THERE(0)) || THERE(1) -> goto told
    :: else -> goto enroll
    fi END;
/* Each queue: the signal, then the registration. */
#ifdef MUT_SAMPLE_AFTER_REGISTER
enroll: STEP count[q]++; READ_OVER(q) END;
    STEP READ_SIGNAL(q);
#else
enroll: STEP READ_SIGNAL(q) END;
    STEP count[q]++; READ_OVER(q);
#endif
    q++;
    if :: q < 2 -> goto enroll :: else -> q = first fi END;
#if defined(TSO) && !defined(MUT_NO_MEMBARRIER)
    STEP FLUSH(0);
#ifndef MUT_BARRIER_FOR_ONE
    FLUSH(1);
#endif
    skip END;
#endif
look: STEP
#ifdef MUT_NO_RECHECK
    goto sleep
#elif defined(MUT_LOOK_AT_ONE)
    if :: THERE(first) -> goto leave :: else -> goto sleep fi
#else
    if :: THERE(q) -> q = first; goto leave :: else -> q++ fi;
    if :: q < 2 -> goto look :: else -> q = first; goto sleep fi
#endif
    END;
/* futex_waitv: queue by queue; the word first, then the next one. */
sleep: STEP
    if
    :: same_signal[q] & MINE -> queued[q] = queued[q] | MINE; q++
    :: else -> goto woken
    fi;
    if :: q < 2 -> goto sleep :: else -> q = first fi END;
    STEP                                /* all are queued: it sleeps unless somebody woke it meanwhile */
    if
    :: (queued[1] & MINE) && (first == 1 || (queued[0] & MINE)) -> asleep[me] = true
    :: else -> goto woken
    fi END;
end_asleep:
  if
  :: atomic { kills > 0 -> kills--; goto die }
  :: atomic { !asleep[me] -> goto woken }
  :: atomic { asleep[me] && leaves > 0 -> leaves--; asleep[me] = false; rel = true; goto woken }
  fi;
woken: STEP
    queued[0] = queued[0] & ~MINE; queued[1] = queued[1] & ~MINE;
    slept = true; q = first END;
leave: STEP
    strike_off(q, 1); same_signal[q] = same_signal[q] & ~MINE; q++;
    if
    :: q < 2 -> goto leave
    :: else -> q = first; if :: rel -> goto gone :: else -> goto again fi
    fi END;
told: STEP
    if
    :: first == 1 -> taken[1]++; goto pass      /* receive: it takes, then passes on if there is more */
    :: else -> goto pass
    fi END;
pass: STEP
#ifdef MUT_NO_PASS
    slept = false;
#endif
    if
    :: !slept || !THERE(q) || count[q] == 0 -> goto passed
    :: else -> READ_OVER(q); strike = count[q]
    fi END;
    STEP RAISE(q) END;
    STEP wake_one(q) END;
    STEP strike_off(q, strike); strike = 0 END;
passed: STEP
    q++;
#ifdef MUT_PASS_ONE
    q = 2;
#endif
    if :: q < 2 -> goto pass :: else -> q = first; slept = false fi END;
    STEP                                /* whoever was told takes what is there, of one queue or of both, or never */
    if
    :: busy > 0 -> busy--; goto gone
    :: first == 0 && THERE(0) -> taken[0]++; goto again
    :: first == 0 && THERE(1) -> taken[1]++; goto again
    :: else -> goto again
    fi END;
die: atomic {
    queued[0] = queued[0] & ~MINE; queued[1] = queued[1] & ~MINE; asleep[me] = false;
    same_over[0] = same_over[0] & ~MINE; same_over[1] = same_over[1] & ~MINE;
    same_signal[0] = same_signal[0] & ~MINE; same_signal[1] = same_signal[1] & ~MINE;
    q = first; strike = 0; slept = false; rel = false;
    dead[me] = true
  }
gone: skip
}

#define ASLEEP_ON_BOTH(c) (c < FIRST + SETS && asleep[c])
#define RUN_AGAIN(q, c) if :: queued[q] & (1 << (c - 1)) -> asleep[c] = false :: else fi
#define LOST(q) (returned[q] > taken[q])

proctype Supervisor() {
  byte me = SUPERVISOR, q, strike;
watch:
end: if
  :: atomic { dead[3] -> dead[3] = false; q = 0 }
#if NC > 1
  :: atomic { dead[4] -> dead[4] = false; q = 0 }
#endif
#if NC > 2
  :: atomic { dead[5] -> dead[5] = false; q = 0 }
#endif
  :: atomic { timeout ->
     assert(!(LOST(0) && (ASLEEP_ON_BOTH(3) || ASLEEP_ON_BOTH(4) || ASLEEP_ON_BOTH(5))));
     assert(!(LOST(1) && (asleep[3] || asleep[4] || asleep[5])));
     assert(count[0] >= ASLEEP_ON_BOTH(3) + ASLEEP_ON_BOTH(4) + ASLEEP_ON_BOTH(5));
     assert(count[1] >= asleep[3] + asleep[4] + asleep[5]);
     goto finished }
  fi;
wake_all: atomic { READ_OVER(q); strike = count[q] }
  atomic { RAISE(q) }
  atomic {
    RUN_AGAIN(q, 3); RUN_AGAIN(q, 4); RUN_AGAIN(q, 5);
    queued[q] = 0
  }
  atomic {
    strike_off(q, strike); strike = 0; q++;
    if :: q < 2 -> goto wake_all :: else -> q = 0; goto watch fi
  }
finished: skip
}

init {
  atomic {
    byte c = FIRST;
    run Producer(1); run Producer(2);
    do
    :: c > LAST -> break
    :: c <= LAST && c < FIRST + SETS -> run Consumer(c, 0); c++
    :: c <= LAST && c >= FIRST + SETS -> run Consumer(c, 1); c++
    od;
    c = 0;
    run Supervisor()
  }
}
