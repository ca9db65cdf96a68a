// The connection to the daemon: queues are made, found and removed here. Messages never pass
// through the daemon; while it is down, producers and consumers go on, and the calls here wait for
// its return up to the timeout of the connection.
#ifndef SHMQ_C_CLIENT_H
#define SHMQ_C_CLIENT_H

#include <shmq/c/error.h>
#include <shmq/c/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

// A session with the daemon. Any thread may use it; calls on one client wait for each other.
typedef struct shmq_client shmq_client;

// How to connect. Begin with SHMQ_CONNECT_OPTIONS_INIT. Zero and NULL mean the default.
typedef struct shmq_connect_options {
    size_t struct_size;  // sizeof(shmq_connect_options)
    // Path of the daemon's socket. NULL or empty: $SHMQ_SOCKET, else the user's own daemon
    // ($XDG_RUNTIME_DIR/shmq/socket, without that variable /tmp/shmq-UID/socket), else the system's
    // /run/shmq/socket; root starts with /run/shmq/socket.
    const char* socket;
    // Not 0: do not start the user's own daemon if none answers. (None is ever started where a
    // socket is named, here or by SHMQ_SOCKET.)
    int no_start;
    // For connecting, starting included, and for each answer of the daemon. Default 10 s.
    int64_t timeout_ns;
} shmq_connect_options;

// clang-format off
#define SHMQ_CONNECT_OPTIONS_INIT {sizeof(shmq_connect_options), NULL, 0, 0}
// clang-format on

// Connects; `options` may be NULL. Blocks up to the timeout. Errors: SHMQ_NO_DAEMON,
// SHMQ_INCOMPATIBLE, SHMQ_PERMISSION_DENIED.
SHMQ_C_EXPORT shmq_code shmq_connect(const shmq_connect_options* options,
                                     shmq_client** client) SHMQ_C_NOEXCEPT;

// Ends the handle. Its producers and consumers go on; the session ends with the last of them.
SHMQ_C_EXPORT void shmq_client_close(shmq_client* client) SHMQ_C_NOEXCEPT;

// Each of the following waits for the daemon's answer up to the timeout. Besides the errors named,
// all may give SHMQ_NO_DAEMON where the daemon died and no other came in time; what cannot be asked
// twice (create, remove, purge) also where it died in the middle of the call.

// Creates the queue, or finds it with the same options (zero fields match anything). `options` may
// be NULL. Errors: SHMQ_QUEUE_EXISTS (other options), SHMQ_INVALID_ARGUMENT, SHMQ_QUOTA_EXCEEDED.
SHMQ_C_EXPORT shmq_code shmq_declare(shmq_client* client, const char* queue,
                                     const shmq_queue_options* options) SHMQ_C_NOEXCEPT;

// Creates the queue; SHMQ_QUEUE_EXISTS if there is one. Otherwise as shmq_declare.
SHMQ_C_EXPORT shmq_code shmq_create(shmq_client* client, const char* queue,
                                    const shmq_queue_options* options) SHMQ_C_NOEXCEPT;

// Removes the queue and what is in it. Without `force` only one that nobody uses and that is empty.
// Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_QUEUE_IN_USE, SHMQ_PERMISSION_DENIED.
SHMQ_C_EXPORT shmq_code shmq_remove(shmq_client* client, const char* queue,
                                    int force) SHMQ_C_NOEXCEPT;

// Drops every message that nobody holds. `purged` (may be NULL) is how many went at once; with an
// exclusive consumer attached, that one drops them at its next receive, and it is 0.
// Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_PERMISSION_DENIED.
SHMQ_C_EXPORT shmq_code shmq_purge(shmq_client* client, const char* queue,
                                   uint64_t* purged) SHMQ_C_NOEXCEPT;

// Changes what can change while the queue is in use; needs the right to manage. All of it or
// nothing. Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_PERMISSION_DENIED, SHMQ_INVALID_ARGUMENT (out of
// bounds, or cannot change: the message says why), SHMQ_QUOTA_EXCEEDED (of a new owner).
SHMQ_C_EXPORT shmq_code shmq_edit(shmq_client* client, const char* queue,
                                  const shmq_queue_changes* changes) SHMQ_C_NOEXCEPT;

// From now on calls of that side that may block wait, up to their timeouts, and others answer
// SHMQ_PAUSED; acks and their like go on. Until shmq_resume, whoever restarts meanwhile. A call
// under way may still take effect. Both need the right to manage.
// Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_PERMISSION_DENIED, SHMQ_INVALID_ARGUMENT (no such side).
SHMQ_C_EXPORT shmq_code shmq_pause(shmq_client* client, const char* queue,
                                   shmq_side side) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT shmq_code shmq_resume(shmq_client* client, const char* queue,
                                    shmq_side side) SHMQ_C_NOEXCEPT;

// What is known about a queue; free it with shmq_queue_info_free.
// Errors: SHMQ_QUEUE_NOT_FOUND, SHMQ_PERMISSION_DENIED.
SHMQ_C_EXPORT shmq_code shmq_info(shmq_client* client, const char* queue,
                                  shmq_queue_info** info) SHMQ_C_NOEXCEPT;

// The same for all queues that the user has any right on; free it with shmq_queue_list_free.
SHMQ_C_EXPORT shmq_code shmq_list(shmq_client* client, shmq_queue_list** list) SHMQ_C_NOEXCEPT;

// What is known about the daemon. Made by shmq_status; read only.
typedef struct shmq_daemon_info {
    uint32_t pid;
    const char* version;
    const char* socket;
    uint64_t queues;
    uint64_t sessions;
    int64_t uptime_ns;
    uint64_t deaths;              // processes that died attached
    uint64_t reclaimed;           // messages given back for them
    uint32_t restarts;            // daemons that died before this one, which took over from them
    uint32_t adopted;             // queues that this one took over
    const char* state_directory;  // where journals live; empty: nowhere
    const char* alarm;            // what somebody has to look after there; empty: nothing
    uint32_t recovering;          // queues whose journals are being read
} shmq_daemon_info;

// Asks the daemon about itself; free it with shmq_daemon_info_free.
SHMQ_C_EXPORT shmq_code shmq_status(shmq_client* client, shmq_daemon_info** info) SHMQ_C_NOEXCEPT;
SHMQ_C_EXPORT void shmq_daemon_info_free(shmq_daemon_info* info) SHMQ_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
