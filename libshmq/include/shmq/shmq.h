// The C API of shmq. Start here: connect to the daemon, declare queues, send and receive.
//
//     shmq_client *client;
//     shmq_producer *producer;
//     shmq_consumer *consumer;
//     shmq_message *message = shmq_message_new();
//
//     if (shmq_connect(NULL, &client) != SHMQ_OK) die(shmq_error_message());
//     shmq_declare(client, "jobs", NULL);
//     shmq_producer_open(client, "jobs", &producer);
//     shmq_producer_send(producer, "hello", 5, SHMQ_FOREVER);
//     shmq_consumer_open(client, "jobs", NULL, &consumer);
//     shmq_consumer_receive(consumer, message, SHMQ_FOREVER);
//     use(shmq_message_data(message), shmq_message_size(message));
//     shmq_message_ack(message);
//
// C99, without any C++ in it; the same library as the C++ API, and the same promises. Link with
// -lshmq (pkg-config: shmq).
//
// Errors. Calls that can fail return a shmq_code: SHMQ_OK is 0. The sentence that goes with it, of
// the last call that failed in this thread, is shmq_error_message(). A call that fails sets nothing
// that it was to set, where its entry does not say otherwise. No C++ exception leaves the library.
// NULL where a handle or a result belongs is SHMQ_INVALID_ARGUMENT (0 from calls that return a
// number).
//
// Time. Durations are nanoseconds in an int64_t. A timeout of SHMQ_NOW never sleeps, SHMQ_FOREVER
// waits without end. Points in time are nanoseconds of CLOCK_MONOTONIC.
//
// Handles are opaque. Each is made by a call whose name ends in _open, _new or connect, and ended
// by its _close or _free, which take NULL as well. Producers and consumers outlive their client.
//
// Threads. Client calls: any thread, they wait for each other. A producer with its loans, and a
// consumer with its messages: one thread at a time; make one for each thread. Only _stop_waiting
// may be called from anywhere, signal handlers included. After fork the child gets SHMQ_FORKED from
// each call and may connect anew.
//
// Structures that the caller fills begin with their size (use the _INIT macros), and those that the
// library hands out are made and freed by it: both may grow at their end without breaking anybody.
#ifndef SHMQ_SHMQ_H
#define SHMQ_SHMQ_H

#include <shmq/c/client.h>
#include <shmq/c/consumer.h>
#include <shmq/c/error.h>
#include <shmq/c/producer.h>
#include <shmq/c/queue.h>
#include <shmq/c/wait_set.h>

#endif
