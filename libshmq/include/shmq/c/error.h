// Errors of the C API: a code for programs, a sentence for people.
#ifndef SHMQ_C_ERROR_H
#define SHMQ_C_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SHMQ_C_NOEXCEPT noexcept
#else
#define SHMQ_C_NOEXCEPT
#endif
#if defined(SHMQ_BUILDING_LIBRARY)
#define SHMQ_C_EXPORT __attribute__((visibility("default")))
#else
#define SHMQ_C_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Timeouts: never sleep; wait without end. Any negative timeout counts as SHMQ_FOREVER.
#define SHMQ_NOW ((int64_t)0)
#define SHMQ_FOREVER ((int64_t)-1)
// One millisecond and one second as durations.
#define SHMQ_MILLISECOND ((int64_t)1000000)
#define SHMQ_SECOND ((int64_t)1000000000)

// What went wrong, for programs. The numbers stay; new ones may come.
typedef enum shmq_code {
    SHMQ_OK = 0,
    // Conditions of ordinary running.
    SHMQ_NOTHING = 1,          // no message there (with SHMQ_NOW)
    SHMQ_TIMED_OUT = 2,        // the timeout came first
    SHMQ_FULL = 3,             // no room: with SHMQ_NOW, or a queue that rejects on overflow
    SHMQ_STALE = 4,            // the message is no longer ours: lease expired, given back, or acked
    SHMQ_IN_FLIGHT_LIMIT = 5,  // as many unacked messages held as allowed: ack some first
    SHMQ_QUEUE_REMOVED = 6,    // a manager removed the queue
    SHMQ_TOO_BIG = 7,          // larger than the queue's max_message
    SHMQ_INTERRUPTED = 8,      // _stop_waiting was called on the handle
    SHMQ_PAUSED = 9,           // a manager has paused this side of the queue: with SHMQ_NOW
    // Refusals.
    SHMQ_QUEUE_NOT_FOUND = 20,
    SHMQ_QUEUE_EXISTS = 21,  // with other options than asked for
    SHMQ_PERMISSION_DENIED = 22,
    SHMQ_ROLE_TAKEN = 23,        // another holds the exclusive role
    SHMQ_INVALID_ARGUMENT = 24,  // name, size, option or pointer out of bounds
    SHMQ_QUOTA_EXCEEDED = 25,
    SHMQ_QUEUE_IN_USE = 26,  // remove without force: it has messages or users
    // Failures.
    SHMQ_NO_DAEMON = 40,  // none answers, and none may or can be started
    SHMQ_PROTOCOL_ERROR = 41,
    SHMQ_INCOMPATIBLE = 42,   // segment or daemon of another version
    SHMQ_CORRUPT = 43,        // shared memory holds what it must not
    SHMQ_FORKED = 44,         // handle of the parent used in a child of fork
    SHMQ_CLOSED = 45,         // the handle was closed
    SHMQ_QUARANTINED = 46,    // the queue was found damaged and is out of service
    SHMQ_SYSTEM_ERROR = 47,   // see shmq_error_number
    SHMQ_JOURNAL_FAILED = 48  // the disk failed: nothing more is confirmed
} shmq_code;

// The name of a code, as `timed_out`; `ok` for SHMQ_OK. Never NULL; static.
SHMQ_C_EXPORT const char* shmq_code_name(shmq_code code) SHMQ_C_NOEXCEPT;

// A sentence about the last call that failed in this thread, with the queue, the peer, the limit
// and the remedy where they are known. Never NULL; empty before the first failure. Calls that
// succeed leave it as it is. Valid until the next call of shmq in this thread that fails.
SHMQ_C_EXPORT const char* shmq_error_message(void) SHMQ_C_NOEXCEPT;

// The code of that call; SHMQ_OK before the first failure.
SHMQ_C_EXPORT shmq_code shmq_error_code(void) SHMQ_C_NOEXCEPT;

// The errno of the system call behind it, or 0.
SHMQ_C_EXPORT int shmq_error_number(void) SHMQ_C_NOEXCEPT;

// Version of the library in use, as MAJOR.MINOR.PATCH. Static.
SHMQ_C_EXPORT const char* shmq_version(void) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
