/* A worker with options of its own: not now, later, never, and errors told apart by their codes. */
#include <shmq/shmq.h>

#include <string.h>

#include "expect.h"

static int is(const shmq_message* message, const char* text) {
    return shmq_message_size(message) == strlen(text) &&
           memcmp(shmq_message_data(message), text, strlen(text)) == 0;
}

/* What a worker does with one job; `busy` and `broken` stand for what the work says. */
static shmq_code handle(shmq_message* message) {
    if (is(message, "broken")) return shmq_message_reject(message);
    if (is(message, "busy") && !shmq_message_redelivered(message))
        return shmq_message_nack_delayed(message, 20 * SHMQ_MILLISECOND);
    return shmq_message_ack(message);
}

int main(void) {
    static const char* const jobs[] = {"plain", "busy", "broken"};
    shmq_client* client;
    shmq_producer* producer;
    shmq_consumer* consumer;
    shmq_dead_letter* letter = NULL;
    shmq_message* message = shmq_message_new();
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    options.lease_ns = 5 * SHMQ_SECOND;
    options.dead_letter = "example/graves";

    must(shmq_connect(NULL, &client));
    must(shmq_declare(client, "example/worker", &options));
    must(shmq_declare(client, "example/graves", NULL));
    must(shmq_producer_open(client, "example/worker", &producer));
    for (int job = 0; job < 3; ++job)
        must(shmq_producer_send(producer, jobs[job], strlen(jobs[job]), SHMQ_FOREVER));

    must(shmq_consumer_open(client, "example/worker", NULL, &consumer));
    for (int deliveries = 0; deliveries < 4; ++deliveries) {
        must(shmq_consumer_receive(consumer, message, 30 * SHMQ_SECOND));
        must(handle(message));
    }
    expect(shmq_message_ack(message) == SHMQ_STALE, "a message ends once");
    expect(shmq_consumer_receive(consumer, message, SHMQ_MILLISECOND) == SHMQ_TIMED_OUT,
           "three jobs, one of them twice, and no more");
    shmq_consumer_close(consumer);

    must(shmq_consumer_open(client, "example/graves", NULL, &consumer));
    must(shmq_consumer_receive(consumer, message, 30 * SHMQ_SECOND));
    must(shmq_message_history(message, &letter));
    expect(is(message, "broken") && strcmp(letter->reason, "rejected") == 0,
           "the broken one lies in the dead-letter queue, with the reason");
    shmq_dead_letter_free(letter);

    shmq_message_free(message);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    must(shmq_remove(client, "example/worker", 1));
    must(shmq_remove(client, "example/graves", 1));
    expect(shmq_remove(client, "example/graves", 1) == SHMQ_QUEUE_NOT_FOUND, "and all is gone");
    printf("     %s\n", shmq_error_message());
    shmq_client_close(client);
    return 0;
}
