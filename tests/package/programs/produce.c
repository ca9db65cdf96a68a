#include <shmq/shmq.h>
#include <stdio.h>

int main(void) {
    shmq_client* client = NULL;
    shmq_producer* producer = NULL;
    const int sent = shmq_connect(NULL, &client) == SHMQ_OK &&
                     shmq_declare(client, "greetings", NULL) == SHMQ_OK &&
                     shmq_producer_open(client, "greetings", &producer) == SHMQ_OK &&
                     shmq_producer_send(producer, "from C", 6, SHMQ_FOREVER) == SHMQ_OK;
    if (!sent) fprintf(stderr, "%s\n", shmq_error_message());
    shmq_producer_close(producer);
    shmq_client_close(client);
    return !sent;
}
