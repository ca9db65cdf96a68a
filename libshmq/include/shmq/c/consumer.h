// Consumers receive from one queue, and messages are what they hold: at least once each, exactly
// once while nobody dies and no lease runs out. Returned messages are offered before new ones.
#ifndef SHMQ_C_CONSUMER_H
#define SHMQ_C_CONSUMER_H

#include <shmq/c/client.h>
#include <shmq/c/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// One thread at a time, with the messages it received.
typedef struct shmq_consumer shmq_consumer;

// A holder of one message, or of none. Made once and used again and again: a receive puts a message
// into it; ack, nack and reject empty it. One that is empty answers SHMQ_STALE to every verb, NULL
// for its data and 0 for its numbers.
typedef struct shmq_message shmq_message;

// How to consume. Begin with SHMQ_CONSUMER_OPTIONS_INIT. Zero means the default.
typedef struct shmq_consumer_options {
    size_t struct_size;  // sizeof(shmq_consumer_options)
    // Unacked messages that this consumer may hold at most; default: what the queue says. The
    // queue's fair share (half the ring over all consumers) bounds it further.
    uint32_t in_flight;
} shmq_consumer_options;

// clang-format off
#define SHMQ_CONSUMER_OPTIONS_INIT {sizeof(shmq_consumer_options), 0}
// clang-format on

// `options` may be NULL. Waits for the daemon's answer. Errors: SHMQ_QUEUE_NOT_FOUND,
// SHMQ_PERMISSION_DENIED, SHMQ_ROLE_TAKEN, SHMQ_QUOTA_EXCEEDED, SHMQ_INCOMPATIBLE, SHMQ_NO_DAEMON.
SHMQ_C_EXPORT shmq_code shmq_consumer_open(shmq_client* client, const char* queue,
                                           const shmq_consumer_options* options,
                                           shmq_consumer** consumer) SHMQ_C_NOEXCEPT;

// Detaches. What it holds goes back to the queue at once. Its messages may be read until they are
// freed; every verb on them says SHMQ_STALE.
SHMQ_C_EXPORT void shmq_consumer_close(shmq_consumer* consumer) SHMQ_C_NOEXCEPT;

// Waits for a message, up to the timeout, and puts it into `message`; what that held before goes
// back to the queue first. Spins briefly, then sleeps; no system call unless it sleeps or wakes
// somebody; allocates nothing. Errors: SHMQ_NOTHING and SHMQ_PAUSED (both with
// SHMQ_NOW), SHMQ_TIMED_OUT, SHMQ_IN_FLIGHT_LIMIT, SHMQ_QUEUE_REMOVED, SHMQ_QUARANTINED,
// SHMQ_INTERRUPTED, SHMQ_FORKED; `message` is empty then.
SHMQ_C_EXPORT shmq_code shmq_consumer_receive(shmq_consumer* consumer, shmq_message* message,
                                              int64_t timeout_ns) SHMQ_C_NOEXCEPT;

// Puts up to `most` messages that are there now into the first of `messages`; waits for the first
// of them up to the timeout. What all `most` of them held before goes back to the queue first.
// `received` is how many, errors included. Errors as of shmq_consumer_receive.
SHMQ_C_EXPORT shmq_code shmq_consumer_receive_batch(shmq_consumer* consumer,
                                                    shmq_message* const* messages, size_t most,
                                                    int64_t timeout_ns,
                                                    size_t* received) SHMQ_C_NOEXCEPT;

// Acks each, and empties all. `acked` (may be NULL) is how many were still ours; the others were
// stale, empty, or another consumer's (which go back to the queue).
SHMQ_C_EXPORT shmq_code shmq_consumer_ack_batch(shmq_consumer* consumer,
                                                shmq_message* const* messages, size_t count,
                                                size_t* acked) SHMQ_C_NOEXCEPT;

// Cumulative, exclusive consumers only: acks `last` and every message received before it, which
// answer SHMQ_STALE from then on. `acked` (may be NULL) is how many. Errors: SHMQ_INVALID_ARGUMENT
// for a shared consumer, or another's message.
SHMQ_C_EXPORT shmq_code shmq_consumer_ack_through(shmq_consumer* consumer, shmq_message* last,
                                                  size_t* acked) SHMQ_C_NOEXCEPT;

// Says that this message is being handled now: should the process die, the failure is this
// message's, and the others that it holds have not failed. Without a word, or once that message has
// ended, it is the oldest held. Costs one store.
SHMQ_C_EXPORT void shmq_consumer_handling(shmq_consumer* consumer,
                                          const shmq_message* message) SHMQ_C_NOEXCEPT;

// Unacked messages held, and how many may be (changes as consumers come and go).
SHMQ_C_EXPORT size_t shmq_consumer_in_flight(const shmq_consumer* consumer) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT size_t shmq_consumer_in_flight_limit(const shmq_consumer* consumer) SHMQ_C_NOEXCEPT;

// 1 if messages of the queue lie in its journal and are on their way into the ring: then
// SHMQ_NOTHING means not yet. Never blocks; exact only in a quiet queue.
SHMQ_C_EXPORT int shmq_consumer_more_to_come(const shmq_consumer* consumer) SHMQ_C_NOEXCEPT;

// Makes a receive that sleeps now, or the next that would, return SHMQ_INTERRUPTED. From any thread
// and any signal handler.
SHMQ_C_EXPORT void shmq_consumer_stop_waiting(shmq_consumer* consumer) SHMQ_C_NOEXCEPT;

// ---- Messages ----

// An empty one; NULL if no memory is left.
SHMQ_C_EXPORT shmq_message* shmq_message_new(void) SHMQ_C_NOEXCEPT;

// What it holds goes back to the queue at once, to be delivered again.
SHMQ_C_EXPORT void shmq_message_free(shmq_message* message) SHMQ_C_NOEXCEPT;

// The payload, read in place, and its size in bytes. It is the message's own as long as the lease
// lasts (see shmq_message_still_held), and there until the message has ended.
SHMQ_C_EXPORT const void* shmq_message_data(const shmq_message* message) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT size_t shmq_message_size(const shmq_message* message) SHMQ_C_NOEXCEPT;

// Rises in the order of the queue; numbers may be left out, none comes twice.
SHMQ_C_EXPORT uint64_t shmq_message_sequence(const shmq_message* message) SHMQ_C_NOEXCEPT;

// When it was sent, in nanoseconds of the sender's CLOCK_MONOTONIC, a few milliseconds coarse;
// exact with exact_timestamps.
SHMQ_C_EXPORT int64_t shmq_message_timestamp_ns(const shmq_message* message) SHMQ_C_NOEXCEPT;

// 1 if it was delivered before: its work may be done, or half done.
SHMQ_C_EXPORT int shmq_message_redelivered(const shmq_message* message) SHMQ_C_NOEXCEPT;

// Deliveries so far, this one included, and those that failed: its consumer crashed, rejected it,
// or let its lease run out. Both stay at 1023.
SHMQ_C_EXPORT uint32_t shmq_message_deliveries(const shmq_message* message) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT uint32_t shmq_message_failures(const shmq_message* message) SHMQ_C_NOEXCEPT;

// Done: the message is gone for good; not undone by any death once returned. Empties the holder,
// whatever it returns; so do nack and reject. None blocks. SHMQ_STALE: the lease had ended before;
// another may have the message; nothing changed.
SHMQ_C_EXPORT shmq_code shmq_message_ack(shmq_message* message) SHMQ_C_NOEXCEPT;

// Not now: back to the queue, before new messages; at once, or after the queue's retry delay where
// it has one. Does not count as a failure.
SHMQ_C_EXPORT shmq_code shmq_message_nack(shmq_message* message) SHMQ_C_NOEXCEPT;

// The same, not before `delay_ns` has passed: 0 to 30 days, else SHMQ_INVALID_ARGUMENT, and the
// message stays. Precise to 4 ms while the daemon runs; never early.
SHMQ_C_EXPORT shmq_code shmq_message_nack_delayed(shmq_message* message,
                                                  int64_t delay_ns) SHMQ_C_NOEXCEPT;

// Never: to the dead-letter queue; without one it is dropped, and counted. A failure.
SHMQ_C_EXPORT shmq_code shmq_message_reject(shmq_message* message) SHMQ_C_NOEXCEPT;

// Renews the lease for `lease_ns` from now, or for the queue's lease time where that is 0; the
// message stays. Errors: SHMQ_STALE, SHMQ_INVALID_ARGUMENT, SHMQ_FORKED.
SHMQ_C_EXPORT shmq_code shmq_message_extend(shmq_message* message,
                                            int64_t lease_ns) SHMQ_C_NOEXCEPT;

// 1 if the lease still is ours, else 0. Ask after reading in place and before relying on what was
// read, if the lease may have run out meanwhile.
SHMQ_C_EXPORT int shmq_message_still_held(const shmq_message* message) SHMQ_C_NOEXCEPT;

// ---- Dead letters ----

// What a message from a dead-letter queue has behind it. Made by shmq_message_history; read only.
typedef struct shmq_dead_letter {
    // How its last delivery ended: `rejected`, `expired`, `crashed:SIGSEGV` (with the signal or
    // `exit-N` where the kernel tells, else `crashed`), or `max-deliveries` where nobody knows.
    const char* reason;
    const char* source;   // name of the queue it was in; empty: its history had no room here
    uint64_t sequence;    // that it had there
    uint32_t deliveries;  // and its counts
    uint32_t failures;
    int64_t first_failure_ns;  // CLOCK_MONOTONIC
    int64_t last_failure_ns;
    int64_t moved_ns;
    uint32_t pid;  // who had it last; zeros where nobody knows
    uint32_t uid;
    const char* executable;  // the end of its path
    uint32_t redriven;       // how often it was moved back
    int64_t last_redriven_ns;
} shmq_dead_letter;

// SHMQ_NOTHING if it never was a dead letter, if its lease is over, or if no memory is left. Free
// it with shmq_dead_letter_free.
SHMQ_C_EXPORT shmq_code shmq_message_history(const shmq_message* message,
                                             shmq_dead_letter** history) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT void shmq_dead_letter_free(shmq_dead_letter* history) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
