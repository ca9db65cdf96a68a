// Wait sets: messages of many queues at once, by a call that sleeps, by a descriptor for poll or
// epoll, or by an io_uring of the program's own. A set only looks: no message is taken before
// shmq_consumer_receive, and what is told as ready may be another consumer's by then (use
// SHMQ_NOW). <shmq/wait_set.hpp> says when a consumer is ready, and more.
#ifndef SHMQ_C_WAIT_SET_H
#define SHMQ_C_WAIT_SET_H

#include <shmq/c/consumer.h>
#include <shmq/c/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// One thread at a time, with all consumers in it; _stop_waiting any.
typedef struct shmq_wait_set shmq_wait_set;

// So many consumers at most: the kernel waits for 128 words at once, one of them is
// _stop_waiting's.
#define SHMQ_WAIT_SET_SIZE_MAX 127

// Errors: SHMQ_SYSTEM_ERROR (a kernel before Linux 5.16, or a seccomp filter, refuses futex_waitv).
SHMQ_C_EXPORT shmq_code shmq_wait_set_open(shmq_wait_set** set) SHMQ_C_NOEXCEPT;

// The consumers stay as they are.
SHMQ_C_EXPORT void shmq_wait_set_close(shmq_wait_set* set) SHMQ_C_NOEXCEPT;

// Of any queue and any client, in one set at a time; one that is closed leaves its set. Errors:
// SHMQ_INVALID_ARGUMENT (already in a set, one too many, or to remove: not in this set),
// SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_wait_set_add(shmq_wait_set* set,
                                          shmq_consumer* consumer) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT shmq_code shmq_wait_set_remove(shmq_wait_set* set,
                                             shmq_consumer* consumer) SHMQ_C_NOEXCEPT;

// How many are in it.
SHMQ_C_EXPORT size_t shmq_wait_set_size(const shmq_wait_set* set) SHMQ_C_NOEXCEPT;

// Puts those that are ready, `most` of them at most, into `ready`, and how many into `count`; waits
// for the first up to the timeout. The one told first changes from call to call. Errors:
// SHMQ_NOTHING (with SHMQ_NOW), SHMQ_TIMED_OUT, SHMQ_INTERRUPTED, SHMQ_IN_FLIGHT_LIMIT (all hold as
// much as they may; not with SHMQ_NOW), SHMQ_INVALID_ARGUMENT (the set is empty; not with
// SHMQ_NOW), SHMQ_SYSTEM_ERROR, SHMQ_FORKED; `count` is 0 then.
SHMQ_C_EXPORT shmq_code shmq_wait_set_wait(shmq_wait_set* set, shmq_consumer** ready, size_t most,
                                           int64_t timeout_ns, size_t* count) SHMQ_C_NOEXCEPT;

// An eventfd for poll or epoll, readable at first, and whenever a consumer may be ready: then call
// shmq_wait_set_wait with SHMQ_NOW, and receive. It stays readable until such a call has found
// nothing. After an ack of a consumer that held as much as it may, call it as well. The descriptor
// is the set's: do not read or close it. The first call starts a thread, which sleeps, and ends
// with the set. Errors: SHMQ_SYSTEM_ERROR, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_wait_set_descriptor(shmq_wait_set* set,
                                                 int* descriptor) SHMQ_C_NOEXCEPT;

// A word of memory, and the value it has until somebody wakes those who wait for it. The layout is
// that of the kernel's `struct futex_waitv`.
typedef struct shmq_futex_word {
    uint64_t value;
    uint64_t address;
    uint32_t flags;  // FUTEX2_SIZE_U32, and not private
    uint32_t reserved;
} shmq_futex_word;

// What to sleep on by an io_uring of one's own (Linux 6.7): submit `words` as
// IORING_OP_FUTEX_WAITV, with a timeout of `at_most_ns`, and however that completes call
// shmq_wait_set_wait with SHMQ_NOW, soon. `count` 0: something is ready already, do not sleep.
// `words` are valid until the next call on the set, or until a consumer leaves it. Errors:
// SHMQ_IN_FLIGHT_LIMIT, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_wait_set_prepare(shmq_wait_set* set, const shmq_futex_word** words,
                                              size_t* count, int64_t* at_most_ns) SHMQ_C_NOEXCEPT;

// Makes a wait that sleeps now, or the next that would, return SHMQ_INTERRUPTED. Any thread, any
// signal handler.
SHMQ_C_EXPORT void shmq_wait_set_stop_waiting(shmq_wait_set* set) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
