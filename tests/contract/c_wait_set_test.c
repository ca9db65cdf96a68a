/* Wait sets by the C API, against a daemon of its own (tests/support/run_example.sh). */
#define _POSIX_C_SOURCE 200112L

#include <shmq/shmq.h>

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "support/c_check.h"

#define WATCHDOG (20 * SHMQ_SECOND)

static shmq_client* client;

static shmq_consumer* consumer_of(const char* queue) {
    shmq_consumer* consumer = NULL;
    CHECK_OK(shmq_declare(client, queue, NULL));
    CHECK_OK(shmq_consumer_open(client, queue, NULL, &consumer));
    return consumer;
}

static void send(const char* queue, const char* text) {
    shmq_producer* producer = NULL;
    CHECK_OK(shmq_producer_open(client, queue, &producer));
    CHECK_OK(shmq_producer_send(producer, text, strlen(text), SHMQ_NOW));
    shmq_producer_close(producer);
}

static void receive(shmq_consumer* consumer) {
    shmq_message* message = shmq_message_new();
    CHECK_OK(shmq_consumer_receive(consumer, message, SHMQ_NOW));
    CHECK_OK(shmq_message_ack(message));
    shmq_message_free(message);
}

static void tells_who_is_ready(void) {
    shmq_wait_set* set = NULL;
    shmq_consumer* a = consumer_of("a");
    shmq_consumer* b = consumer_of("b");
    shmq_consumer* ready[2] = {NULL, NULL};
    size_t count = 7;
    CHECK_OK(shmq_wait_set_open(&set));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_wait(set, ready, 2, WATCHDOG, &count));
    CHECK(count == 0);
    CHECK_CODE(SHMQ_NOTHING, shmq_wait_set_wait(set, ready, 2, SHMQ_NOW, &count));
    CHECK_OK(shmq_wait_set_add(set, a));
    CHECK_OK(shmq_wait_set_add(set, b));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_add(set, b));
    CHECK(shmq_wait_set_size(set) == 2);
    CHECK_CODE(SHMQ_TIMED_OUT, shmq_wait_set_wait(set, ready, 2, SHMQ_MILLISECOND, &count));
    send("b", "x");
    CHECK_OK(shmq_wait_set_wait(set, ready, 2, WATCHDOG, &count));
    CHECK(count == 1 && ready[0] == b);
    send("a", "x");
    CHECK_OK(shmq_wait_set_wait(set, ready, 2, SHMQ_FOREVER, &count));
    CHECK(count == 2 && ready[0] != ready[1]);
    CHECK_OK(shmq_wait_set_wait(set, ready, 1, SHMQ_FOREVER, &count));
    CHECK(count == 1);
    receive(a);
    CHECK_OK(shmq_wait_set_remove(set, b));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_remove(set, b));
    CHECK_CODE(SHMQ_NOTHING, shmq_wait_set_wait(set, ready, 2, SHMQ_NOW, &count));
    CHECK_OK(shmq_wait_set_add(set, b));
    receive(b);
    shmq_consumer_close(b); /* and leaves the set */
    CHECK(shmq_wait_set_size(set) == 1);
    send("a", "x");
    CHECK_OK(shmq_wait_set_wait(set, ready, 2, WATCHDOG, &count));
    CHECK(count == 1 && ready[0] == a);
    receive(a);
    shmq_wait_set_close(set);
    CHECK_OK(shmq_wait_set_open(&set)); /* the other set is gone: it may be in another */
    CHECK_OK(shmq_wait_set_add(set, a));
    shmq_wait_set_close(set);
    shmq_consumer_close(a);
}

static void has_a_descriptor(void) {
    shmq_wait_set* set = NULL;
    shmq_consumer* a = consumer_of("a");
    shmq_consumer* ready = NULL;
    size_t count = 0;
    struct pollfd event = {-1, POLLIN, 0};
    CHECK_OK(shmq_wait_set_open(&set));
    CHECK_OK(shmq_wait_set_add(set, a));
    CHECK_OK(shmq_wait_set_descriptor(set, &event.fd));
    CHECK(poll(&event, 1, 20000) == 1);
    CHECK_CODE(SHMQ_NOTHING, shmq_wait_set_wait(set, &ready, 1, SHMQ_NOW, &count));
    CHECK(poll(&event, 1, 0) == 0);
    send("a", "x");
    CHECK(poll(&event, 1, 20000) == 1);
    CHECK_OK(shmq_wait_set_wait(set, &ready, 1, SHMQ_NOW, &count));
    receive(ready);
    CHECK_CODE(SHMQ_NOTHING, shmq_wait_set_wait(set, &ready, 1, SHMQ_NOW, &count));
    CHECK(poll(&event, 1, 0) == 0);
    shmq_consumer_close(a);
    shmq_wait_set_close(set);
}

static void prepares_a_sleep(void) {
    shmq_wait_set* set = NULL;
    shmq_consumer* a = consumer_of("a");
    shmq_consumer* ready = NULL;
    const shmq_futex_word* words = NULL;
    size_t count = 0;
    int64_t at_most = 0;
    CHECK_OK(shmq_wait_set_open(&set));
    CHECK_OK(shmq_wait_set_add(set, a));
    CHECK_OK(shmq_wait_set_prepare(set, &words, &count, &at_most));
    CHECK(count == 1 && at_most > 0);
    CHECK(*(const uint32_t*)(uintptr_t)words[0].address == words[0].value);
    send("a", "x");
    CHECK(*(const uint32_t*)(uintptr_t)words[0].address != words[0].value);
    CHECK_OK(shmq_wait_set_wait(set, &ready, 1, SHMQ_NOW, &count));
    CHECK_OK(shmq_wait_set_prepare(set, &words, &count, &at_most));
    CHECK(count == 0);
    receive(ready);
    shmq_wait_set_close(set);
    shmq_consumer_close(a);
}

static void* stop(void* set) {
    shmq_wait_set_stop_waiting(set);
    return NULL;
}

static void is_stopped(void) {
    shmq_wait_set* set = NULL;
    shmq_consumer* a = consumer_of("a");
    shmq_consumer* ready = NULL;
    size_t count = 0;
    pthread_t other;
    CHECK_OK(shmq_wait_set_open(&set));
    CHECK_OK(shmq_wait_set_add(set, a));
    CHECK(pthread_create(&other, NULL, stop, set) == 0);
    CHECK_CODE(SHMQ_INTERRUPTED, shmq_wait_set_wait(set, &ready, 1, SHMQ_FOREVER, &count));
    CHECK(pthread_join(other, NULL) == 0);
    shmq_wait_set_close(set);
    shmq_consumer_close(a);
}

static void null_is_refused(void) {
    shmq_wait_set* set = NULL;
    shmq_consumer* ready = NULL;
    size_t count = 0;
    int descriptor = 0;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_open(NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_add(NULL, NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_wait(NULL, &ready, 1, SHMQ_NOW, &count));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_descriptor(NULL, &descriptor));
    CHECK_OK(shmq_wait_set_open(&set));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_add(set, NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_remove(set, NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_wait(set, NULL, 1, SHMQ_NOW, &count));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_wait_set_prepare(set, NULL, &count, NULL));
    shmq_wait_set_close(set);
    shmq_wait_set_close(NULL);
    shmq_wait_set_stop_waiting(NULL);
}

int main(void) {
    CHECK_OK(shmq_connect(NULL, &client));
    tells_who_is_ready();
    has_a_descriptor();
    prepares_a_sleep();
    is_stopped();
    null_is_refused();
    shmq_client_close(client);
    return 0;
}
