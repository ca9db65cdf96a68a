/* Send, receive, ack: the least that one can do. */
#include <shmq/shmq.h>

#include <string.h>

#include "expect.h"

int main(void) {
    shmq_client* client;
    shmq_producer* producer;
    shmq_consumer* consumer;
    shmq_message* message = shmq_message_new();

    /* Connects to the daemon, and starts one for this user if none runs. */
    must(shmq_connect(NULL, &client));
    /* Creates the queue, or finds it: both sides may declare it, whoever comes first. */
    must(shmq_declare(client, "example/hello", NULL));

    must(shmq_producer_open(client, "example/hello", &producer));
    must(shmq_producer_send(producer, "hello", 5, SHMQ_FOREVER));

    must(shmq_consumer_open(client, "example/hello", NULL, &consumer));
    must(shmq_consumer_receive(consumer, message, SHMQ_FOREVER));
    expect(shmq_message_size(message) == 5 && memcmp(shmq_message_data(message), "hello", 5) == 0,
           "the message came");
    expect(!shmq_message_redelivered(message), "nobody had it before");

    /* Until the ack the message is ours on lease: if we died now, another consumer would get it. */
    must(shmq_message_ack(message));
    expect(shmq_consumer_receive(consumer, message, SHMQ_NOW) == SHMQ_NOTHING,
           "after the ack it is gone");

    shmq_message_free(message);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    must(shmq_remove(client, "example/hello", 1));
    shmq_client_close(client);
    return 0;
}
