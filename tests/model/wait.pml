/*
 * Waiting: an eventcount of two words, waiters = {over, count} and signal, over futexes.
 *
 * The queue itself is reduced to messages that are published, and taken in order by one step. What is asked here is
 * only whether somebody sleeps who should not: when nothing else can happen (spin's timeout), no consumer may be
 * asleep while a message is there whose send has returned. Consumers look again only when woken: the relook after the
 * lease time, which would hide every lost wake-up, is left out.
 *
 * The same words the other way round (producers asleep for room, consumers freeing) are the same protocol.
 *
 * Sizes:  NP producers of PER messages, NC consumers
 * Events: KILLS (any of VICTIMS, at any step; reaped), STOPS (producers, for ever), BUSY (a consumer that keeps what it has
 *         taken and takes nothing more), LEAVES (a sleeper whose time is up), SUPKILLS
 * TSO:    the exclusive producer: its publish is a plain store that stays in its store buffer until it is flushed, by
 *         itself, by an atomic operation of the producer or by the sleeper's membarrier
 */
#ifndef NP
#define NP 1
#endif
#ifndef NC
#define NC 2
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
#ifndef BUSY
#define BUSY 0
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef SUPKILLS
#define SUPKILLS 0
#endif
#ifndef VICTIMS
#define VICTIMS 255
#endif
#define M (NP * PER)
#define ALL (NP + NC)

byte published, taken;                  /* messages 0 .. published - 1 are visible, those from taken on are there to take */
byte returned_sends;                    /* a bit a message: its send has returned */
byte count;                             /* waiters = {over, count}: one word */
/* Of over and signal only one thing is ever asked: whether they have moved since somebody read them. So that is what
   the model keeps, a bit for each reader. */
byte same_over, same_signal;
bool asleep[ALL + 1];                   /* in the kernel, on signal */
byte holding[ALL + 1];                  /* taken and not acked; a dead holder's message is returned */
bool dead[ALL + 1], reaped[ALL + 1];
byte again;                             /* messages that came back */
byte kills = KILLS, stops = STOPS, busy = BUSY, leaves = LEAVES, supkills = SUPKILLS;
#ifdef TSO
bool buffered;                          /* the producer's publish is still in its store buffer */
#define FLUSH if :: buffered -> buffered = false; published++ :: else fi
#else
#define FLUSH skip
#endif

#define THERE (taken < published || again > 0)
#define MINE (1 << (me - 1))
#define STEP(wipe) STEP_WHEN(true, wipe)
#define STEP_WHEN(guard, wipe) \
  if \
  :: atomic { kills > 0 && (VICTIMS & MINE) -> kills--; dead[me] = true; wipe; goto gone } \
  :: atomic { guard ->
#define END } fi

/* futex_wake(1): one of those asleep, no matter which; what is struck off for it */
inline wake_one() {
  if
  :: asleep[NP + 1] -> asleep[NP + 1] = false; strike = 1
#if NC > 1
  :: asleep[NP + 2] -> asleep[NP + 2] = false; strike = 1
#endif
#if NC > 2
  :: asleep[NP + 3] -> asleep[NP + 3] = false; strike = 1
#endif
  :: else                               /* nobody sleeps of those who had registered by then */
  fi
}
/* Ends n registrations, if none has ended since this one read over. */
inline strike_off(n) {
  if
#ifdef MUT_STRIKE_ANYHOW
  :: count >= n && n > 0 -> count = count - n; same_over = 0
#else
  :: (same_over & MINE) && count >= n && n > 0 -> count = count - n;
#ifndef MUT_OVER_STAYS
     same_over = 0
#endif
#endif
  :: else
  fi;
  same_over = same_over & ~MINE
}
#define READ_OVER same_over = same_over | MINE
#define RAISE same_signal = 0
#define READ_SIGNAL same_signal = same_signal | MINE

proctype Producer(byte me) {
  byte m, which, strike;
#define WIPE m = 0; which = 0; strike = 0; same_over = same_over & ~MINE
#define STOP_HERE if :: atomic { stops > 0 -> stops--; goto gone } :: true fi
publish: STEP(WIPE)
#ifdef TSO
    FLUSH; buffered = true; which = published;
#else
    which = published; published++;
#endif
    goto look END;
look: STOP_HERE; STEP(WIPE)
#ifdef MUT_NO_WAKE
    goto done;
#endif
    if :: count > 0 -> READ_OVER; strike = count; goto raise :: else -> goto done fi END;
raise: STOP_HERE; STEP(WIPE)
    FLUSH;
#ifndef MUT_NO_SIGNAL
    RAISE;
#endif
#ifdef MUT_STRIKE_FIRST
    strike = 1; strike_off(strike);
#endif
    goto wake END;
wake: STOP_HERE; STEP(WIPE)
    wake_one();
#ifdef MUT_STRIKE_FIRST
    goto done
#else
    goto settle
#endif
    END;
settle: STOP_HERE; STEP(WIPE)
    strike_off(strike); goto done END;
done: STEP(WIPE)
    returned_sends = returned_sends | (1 << which); which = 0; strike = 0; m++;
    if :: m == PER -> m = 0; goto gone :: else -> goto publish fi END;
gone: skip
#undef WIPE
}

#ifdef TSO
active proctype Hardware() {
end: do
  :: atomic { buffered -> FLUSH }
  od
}
#endif

proctype Consumer(byte me) {
  byte strike;
  bool was, rel;
#define WIPE strike = 0; same_over = same_over & ~MINE; same_signal = same_signal & ~MINE; was = false; rel = false; asleep[me] = false
take: STEP(WIPE)
    if
    :: again > 0 -> again--; holding[me] = 1; goto took
    :: again == 0 && taken < published -> taken++; holding[me] = 1; goto took
    :: else -> goto sample
    fi END;
#ifdef MUT_SAMPLE_AFTER_REGISTER
sample: STEP(WIPE) count++; READ_OVER; was = true; goto sample2 END;
sample2: STEP(WIPE) READ_SIGNAL; goto recheck END;
#elif defined(MUT_SAMPLE_AFTER_RECHECK)
sample: STEP(WIPE) count++; READ_OVER; was = true; goto recheck END;
#else
sample: STEP(WIPE) READ_SIGNAL; goto enroll END;
enroll: STEP(WIPE) count++; READ_OVER; was = true;
#ifdef MUT_NO_RECHECK
    goto wait
#elif defined(TSO) && !defined(MUT_NO_MEMBARRIER)
    goto barrier
#else
    goto recheck
#endif
    END;
#endif
#if defined(TSO) && !defined(MUT_NO_MEMBARRIER)
barrier: STEP(WIPE) FLUSH; goto recheck END;    /* membarrier: every store buffer is empty once it returns */
#endif
recheck: STEP(WIPE)
    if
    :: THERE -> goto leave
    :: else ->
#ifdef MUT_SAMPLE_AFTER_RECHECK
       goto sample2
#else
       goto wait
#endif
    fi END;
#ifdef MUT_SAMPLE_AFTER_RECHECK
sample2: STEP(WIPE) READ_SIGNAL; goto wait END;
#endif
wait: STEP(WIPE)
    if
    :: (same_signal & MINE) -> asleep[me] = true; goto sleeping
    :: else -> goto leave
    fi END;
sleeping:
end_asleep:
  if
  :: atomic { kills > 0 && (VICTIMS & MINE) -> kills--; dead[me] = true; WIPE; goto gone }
  :: atomic { !asleep[me] -> goto leave }
  :: atomic { asleep[me] && leaves > 0 -> leaves--; asleep[me] = false; rel = true; goto leave }  /* time is up */
  fi;
leave: STEP(WIPE)
    strike_off(1);
    same_signal = same_signal & ~MINE;
    if
    :: rel -> goto gone
    :: else -> goto take
    fi END;
took: STEP(WIPE)
#ifdef MUT_NO_CHAIN
    was = false; goto handle
#else
    /* woken for one message, perhaps by a wake-up that was meant for another: pass it on if there is more */
    if
    :: was && THERE -> was = false; goto chain
    :: else -> was = false; goto handle
    fi
#endif
    END;
chain: STEP(WIPE)
    if :: count > 0 -> READ_OVER; strike = count; goto chain_raise :: else -> goto handle fi END;
chain_raise: STEP(WIPE) RAISE; goto chain_wake END;
chain_wake: STEP(WIPE) wake_one(); goto chain_settle END;
chain_settle: STEP(WIPE) strike_off(strike); strike = 0; goto handle END;
handle: STEP(WIPE)
    if
    :: busy > 0 -> busy--; goto handling
    :: holding[me] = 0; goto take
    fi END;
handling:
end_busy: STEP_WHEN(false, WIPE) skip END;
gone: skip
#undef WIPE
}

proctype Supervisor() {
  byte p, strike;
  byte me = ALL + 1;
#define SUPSTEP if :: atomic { supkills > 0 -> supkills--; p = 0; strike = 0; same_over = same_over & ~MINE; goto restart } :: atomic { true ->
watch:
end: if
  :: atomic { dead[1] && !reaped[1] -> p = 1; goto reclaim }
  :: atomic { dead[2] && !reaped[2] -> p = 2; goto reclaim }
#if ALL > 2
  :: atomic { dead[3] && !reaped[3] -> p = 3; goto reclaim }
#endif
#if ALL > 3
  :: atomic { dead[4] && !reaped[4] -> p = 4; goto reclaim }
#endif
  :: atomic { timeout ->
     assert(!((again > 0 || (returned_sends >> taken) != 0) && (asleep[NP + 1] || asleep[NP + NC])));
     assert(count >= asleep[NP + 1] + (NC > 1 -> asleep[NP + NC] : 0) + (NC > 2 -> asleep[NP + 2] : 0));
     goto finished }
  fi;
#if SUPKILLS
restart: goto look_at;                  /* a supervisor that starts wakes everybody: its predecessor may have died in between */
#endif
reclaim: SUPSTEP
    if :: holding[p] -> holding[p] = 0; again++ :: else fi;
    reaped[p] = true; goto look_at END;
look_at: SUPSTEP READ_OVER; strike = count; goto raise END;
raise: SUPSTEP RAISE; goto wake_all END;
wake_all: SUPSTEP
#ifdef MUT_DEATH_WAKES_NOBODY
    skip;
#else
    asleep[NP + 1] = false; asleep[NP + NC] = false;
#if NC > 2
    asleep[NP + 2] = false;
#endif
#endif
    goto settle END;
settle: SUPSTEP strike_off(strike); p = 0; strike = 0; goto watch END;
finished: skip
#if !SUPKILLS
restart: skip
#endif
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
