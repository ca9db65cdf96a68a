/* A durable queue: send returns when a message is accepted; confirms tell how safe it has become.
 */
#include <poll.h>
#include <unistd.h>

#include <shmq/shmq.h>

#include "expect.h"

int main(void) {
    shmq_client* client;
    shmq_producer* producer;
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    struct pollfd confirms = {-1, POLLIN, 0};
    uint64_t last;
    options.durability = SHMQ_DURABLE;

    must(shmq_connect(NULL, &client));
    must(shmq_declare(client, "example/confirms", &options));
    must(shmq_producer_open(client, "example/confirms", &producer));

    /* Many are written and synced at once: send first, wait once. */
    for (int order = 0; order < 1000; ++order)
        must(shmq_producer_send(producer, &order, sizeof order, SHMQ_FOREVER));
    last = shmq_producer_last_receipt(producer);
    must(shmq_producer_await_confirm(producer, last, SHMQ_DURABLE, 30 * SHMQ_SECOND));
    expect(shmq_producer_is_confirmed(producer, last, SHMQ_DURABLE),
           "all of them survive the loss of power");

    /* Beside other things, in a loop that polls. */
    must(shmq_producer_confirm_descriptor(producer, &confirms.fd));
    must(shmq_producer_send(producer, "one more", 8, SHMQ_FOREVER));
    last = shmq_producer_last_receipt(producer);
    while (!shmq_producer_is_confirmed(producer, last, SHMQ_DURABLE)) {
        uint64_t times = 0;
        expect(poll(&confirms, 1, 30000) == 1, "the descriptor says that there is news");
        expect(read(confirms.fd, &times, sizeof times) == sizeof times, "reading clears it");
    }

    shmq_producer_close(producer);
    must(shmq_remove(client, "example/confirms", 1));
    shmq_client_close(client);
    return 0;
}
