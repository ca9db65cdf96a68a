// Producers send to one queue; loans are messages built in the queue's memory.
//
// A send has taken effect wholly or not at all, whenever the process dies. One that returned
// SHMQ_OK is in the queue until acked, dropped under a counted reason, or purged.
#ifndef SHMQ_C_PRODUCER_H
#define SHMQ_C_PRODUCER_H

#include <shmq/c/client.h>
#include <shmq/c/error.h>
#include <shmq/c/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

// One thread at a time.
typedef struct shmq_producer shmq_producer;

// A payload: a piece of memory and its size in bytes. `data` may be NULL where size is 0.
typedef struct shmq_bytes {
    const void* data;
    size_t size;
} shmq_bytes;

// Waits for the daemon's answer. Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_PERMISSION_DENIED,
// SHMQ_ROLE_TAKEN, SHMQ_QUOTA_EXCEEDED, SHMQ_INCOMPATIBLE, SHMQ_NO_DAEMON.
SHMQ_C_EXPORT shmq_code shmq_producer_open(shmq_client* client, const char* queue,
                                           shmq_producer** producer) SHMQ_C_NOEXCEPT;

// Detaches. What was sent stays; loans not sent are only good to be freed.
SHMQ_C_EXPORT void shmq_producer_close(shmq_producer* producer) SHMQ_C_NOEXCEPT;

// Copies the payload and sends it. Blocks while there is no room, up to the timeout. No system call
// unless it sleeps or wakes somebody; allocates nothing. Errors: SHMQ_FULL (with SHMQ_NOW, or a
// queue that rejects), SHMQ_PAUSED (with SHMQ_NOW), SHMQ_TIMED_OUT, SHMQ_TOO_BIG,
// SHMQ_QUEUE_REMOVED, SHMQ_QUARANTINED, SHMQ_INTERRUPTED, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_producer_send(shmq_producer* producer, const void* data, size_t size,
                                           int64_t timeout_ns) SHMQ_C_NOEXCEPT;

// Sends in order, paying once what can be shared. `sent` is how many were sent, errors included:
// fewer than `count` if the queue filled up (SHMQ_NOW), the timeout came, or an error came after
// the first. The error itself only if none was sent.
SHMQ_C_EXPORT shmq_code shmq_producer_send_batch(shmq_producer* producer,
                                                 const shmq_bytes* payloads, size_t count,
                                                 int64_t timeout_ns, size_t* sent) SHMQ_C_NOEXCEPT;

// Largest payload that this queue takes, in bytes.
SHMQ_C_EXPORT uint64_t shmq_producer_max_message(const shmq_producer* producer) SHMQ_C_NOEXCEPT;

// Makes a send that sleeps now, or the next that would, return SHMQ_INTERRUPTED. From any thread
// and any signal handler.
SHMQ_C_EXPORT void shmq_producer_stop_waiting(shmq_producer* producer) SHMQ_C_NOEXCEPT;

// ---- Loans: without copying ----

// Memory of the queue to build a message in. Belongs to its producer's thread. Not to be used after
// the loan was sent or freed.
typedef struct shmq_loan shmq_loan;

// Lends memory for a message of `size` bytes, up to the queue's max_message. Blocks while the pool
// has none, up to the timeout. End it with shmq_loan_send or shmq_loan_free. Errors as of
// shmq_producer_send.
SHMQ_C_EXPORT shmq_code shmq_loan_open(shmq_producer* producer, size_t size, int64_t timeout_ns,
                                       shmq_loan** loan) SHMQ_C_NOEXCEPT;

// Writable, uninitialised memory of shmq_loan_size bytes, valid until the loan is sent or freed.
SHMQ_C_EXPORT void* shmq_loan_data(shmq_loan* loan) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT size_t shmq_loan_size(const shmq_loan* loan) SHMQ_C_NOEXCEPT;

// Sends less than was asked for. SHMQ_INVALID_ARGUMENT if `size` is larger than it is.
SHMQ_C_EXPORT shmq_code shmq_loan_shrink(shmq_loan* loan, size_t size) SHMQ_C_NOEXCEPT;

// Sends it without copying. Success ends the loan and frees it; after an error it stays usable.
// Errors as of shmq_producer_send; its producer must still be open.
SHMQ_C_EXPORT shmq_code shmq_loan_send(shmq_loan* loan, int64_t timeout_ns) SHMQ_C_NOEXCEPT;

// Gives the memory back unsent.
SHMQ_C_EXPORT void shmq_loan_free(shmq_loan* loan) SHMQ_C_NOEXCEPT;

// ---- Confirms, of queues with a durable journal ----
// A send returns when its message is accepted; the journal then writes and syncs many at once.
// Confirms are cumulative: what was sent before a confirmed message by the same producer is
// confirmed as well.

// A receipt stands for all that this producer has sent so far; 0: nothing that needs a confirm.
SHMQ_C_EXPORT uint64_t shmq_producer_last_receipt(const shmq_producer* producer) SHMQ_C_NOEXCEPT;

// 1 if all up to that receipt has reached the level, else 0. Reads shared memory; never blocks.
SHMQ_C_EXPORT int shmq_producer_is_confirmed(const shmq_producer* producer, uint64_t receipt,
                                             shmq_durability level) SHMQ_C_NOEXCEPT;

// Blocks until all up to that receipt (see shmq_producer_last_receipt) has reached the level.
// SHMQ_ACCEPTED returns at once. Errors: SHMQ_TIMED_OUT, SHMQ_INTERRUPTED, SHMQ_INVALID_ARGUMENT
// (the queue does not promise as much), SHMQ_JOURNAL_FAILED (nothing more comes),
// SHMQ_QUEUE_REMOVED, SHMQ_QUARANTINED, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_producer_await_confirm(shmq_producer* producer, uint64_t receipt,
                                                    shmq_durability level,
                                                    int64_t timeout_ns) SHMQ_C_NOEXCEPT;

// An eventfd for poll or epoll: readable whenever more has been confirmed since it was last read,
// or confirms have ended; then ask shmq_producer_is_confirmed. Belongs to the producer: do not
// close it. The first call starts a thread, which ends with the producer. Errors:
// SHMQ_INVALID_ARGUMENT (no durable journal), SHMQ_SYSTEM_ERROR, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_producer_confirm_descriptor(shmq_producer* producer,
                                                         int* descriptor) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
