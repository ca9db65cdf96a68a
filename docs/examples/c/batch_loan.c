/* Many messages a call, and large ones without copying. */
#include <shmq/shmq.h>

#include <string.h>

#include "expect.h"

enum { most = 16, image_size = 512 * 1024 };

int main(void) {
    shmq_client* client;
    shmq_producer* producer;
    shmq_consumer* consumer;
    shmq_message* messages[most];
    shmq_loan* loan;
    const shmq_bytes small[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    size_t count = 0;
    for (int index = 0; index < most; ++index)
        messages[index] = shmq_message_new();

    must(shmq_connect(NULL, &client));
    must(shmq_declare(client, "example/batch", NULL));
    must(shmq_producer_open(client, "example/batch", &producer));
    must(shmq_producer_send_batch(producer, small, 3, SHMQ_FOREVER, &count));
    expect(count == 3, "three were sent by one call");

    /* Memory of the queue, filled in place: the consumer will read these very bytes. */
    must(shmq_loan_open(producer, image_size, SHMQ_FOREVER, &loan));
    memset(shmq_loan_data(loan), 0x7f, image_size);
    must(shmq_loan_send(loan, SHMQ_FOREVER));

    must(shmq_consumer_open(client, "example/batch", NULL, &consumer));
    must(shmq_consumer_receive_batch(consumer, messages, most, SHMQ_FOREVER, &count));
    expect(count == 4, "all four came by one call");
    expect(shmq_message_size(messages[3]) == image_size, "the last is the large one");
    /* Each can still be treated on its own. */
    must(shmq_message_nack(messages[0]));
    must(shmq_consumer_ack_batch(consumer, messages, most, &count));
    expect(count == 3, "three are done");
    must(shmq_consumer_receive(consumer, messages[0], SHMQ_FOREVER));
    expect(shmq_message_redelivered(messages[0]), "and the first came again");

    for (int index = 0; index < most; ++index)
        shmq_message_free(messages[index]);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    must(shmq_remove(client, "example/batch", 1));
    shmq_client_close(client);
    return 0;
}
