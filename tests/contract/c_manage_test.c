/* Managing queues by the C API, against a daemon of its own (tests/support/run_example.sh). */
#define _POSIX_C_SOURCE 200112L

#include <shmq/shmq.h>

#include <stddef.h>
#include <unistd.h>

#include "support/c_check.h"

static shmq_client* client;

/* Structures may grow at their end; what there is stays where it is. */
typedef char queue_info_grows_only[offsetof(shmq_queue_info, recovered_bytes) == 328 ? 1 : -1];
typedef char queue_changes_grow_only[offsetof(shmq_queue_changes, when_full) == 80 ? 1 : -1];
typedef char daemon_info_grows_only[offsetof(shmq_daemon_info, recovering) == 88 ? 1 : -1];

static void queues_come_and_go(void) {
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    shmq_queue_info* info = NULL;
    shmq_queue_list* list = NULL;
    shmq_daemon_info* status = NULL;
    shmq_producer* producer = NULL;
    uint64_t purged = 7;
    options.capacity = 128;
    options.lease_ns = 5 * SHMQ_SECOND;
    options.max_deliveries = SHMQ_UNLIMITED;
    options.dead_letter = "graves";
    options.overflow = SHMQ_OVERFLOW_REJECT;
    CHECK_OK(shmq_create(client, "one", &options));
    CHECK_CODE(SHMQ_QUEUE_EXISTS, shmq_create(client, "one", &options));
    CHECK_OK(shmq_declare(client, "one", &options));
    options.capacity = 256;
    CHECK_CODE(SHMQ_QUEUE_EXISTS, shmq_declare(client, "one", &options));
    CHECK_OK(shmq_declare(client, "two", NULL));

    CHECK_OK(shmq_producer_open(client, "one", &producer));
    CHECK_OK(shmq_producer_send(producer, "a", 1, SHMQ_NOW));
    CHECK_OK(shmq_producer_send(producer, "b", 1, SHMQ_NOW));
    CHECK_OK(shmq_info(client, "one", &info));
    CHECK_TEXT("one", info->name);
    CHECK(info->ready == 2 && info->sent == 2 && info->sent_bytes == 2 && info->producers == 1);
    CHECK(info->options->capacity == 128 && info->options->lease_ns == 5 * SHMQ_SECOND);
    CHECK(info->options->max_deliveries == SHMQ_UNLIMITED && info->options->mode == 0700);
    CHECK(info->options->overflow == SHMQ_OVERFLOW_REJECT);
    CHECK_TEXT("graves", info->options->dead_letter);
    CHECK(info->gate == SHMQ_GATE_NONE && info->journal == SHMQ_JOURNAL_NONE);
    shmq_queue_info_free(info);
    CHECK_OK(shmq_list(client, &list));
    CHECK(list->count == 2);
    CHECK_TEXT("one", list->queues[0]->name);
    CHECK_TEXT("two", list->queues[1]->name);
    CHECK(list->queues[1]->options->max_deliveries == 20);
    shmq_queue_list_free(list);
    CHECK_OK(shmq_status(client, &status));
    CHECK(status->queues == 2 && status->pid != 0 && status->sessions >= 1);
    CHECK_TEXT(shmq_version(), status->version);
    shmq_daemon_info_free(status);

    CHECK_CODE(SHMQ_QUEUE_IN_USE, shmq_remove(client, "one", 0));
    CHECK_OK(shmq_purge(client, "one", &purged));
    CHECK(purged == 2);
    shmq_producer_close(producer);
    CHECK_OK(shmq_remove(client, "one", 0));
    CHECK_OK(shmq_remove(client, "two", 0));
    CHECK_CODE(SHMQ_QUEUE_NOT_FOUND, shmq_remove(client, "two", 0));
    CHECK_CODE(SHMQ_QUEUE_NOT_FOUND, shmq_info(client, "two", &info));
    CHECK_CODE(SHMQ_QUEUE_NOT_FOUND, shmq_producer_open(client, "two", &producer));
    CHECK(strstr(shmq_error_message(), "two") != NULL);
    CHECK_OK(shmq_check_queue_name("a/b"));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_check_queue_name("a//b"));
    options.overflow = (shmq_overflow)17;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_declare(client, "one", &options));
}

/* What is named changes, all of it; nothing else does. */
static void a_queue_is_edited(void) {
    shmq_queue_changes changes = SHMQ_QUEUE_CHANGES_INIT;
    shmq_queue_info* info = NULL;
    CHECK_OK(shmq_create(client, "edited", NULL));
    CHECK_OK(shmq_edit(client, "edited", &changes));
    changes.which = (2 * SHMQ_CHANGE_WHEN_FULL - 1) &
                    ~(SHMQ_CHANGE_SPILL_LIMIT | SHMQ_CHANGE_WHEN_FULL | SHMQ_CHANGE_OWNER);
    changes.lease_ns = 2 * SHMQ_SECOND;
    changes.in_flight = 7;
    changes.max_deliveries = SHMQ_UNLIMITED;
    changes.dead_letter = "graves";
    changes.retry_delay_ns = SHMQ_SECOND;
    changes.retry_delay_max_ns = 4 * SHMQ_SECOND;
    changes.pause_stopped = 1;
    changes.mode = 0750;
    changes.group = (uint32_t)getgid();
    changes.overflow = SHMQ_OVERFLOW_REJECT;
    CHECK_OK(shmq_edit(client, "edited", &changes));
    changes.which = SHMQ_CHANGE_MAX_DELIVERIES | SHMQ_CHANGE_LEASE;
    changes.max_deliveries = 3;
    changes.lease_ns = 1; /* too short: nothing of it happens */
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_edit(client, "edited", &changes));
    changes.which = SHMQ_CHANGE_DEAD_LETTER;
    changes.dead_letter = NULL; /* as an empty one */
    CHECK_OK(shmq_info(client, "edited", &info));
    CHECK(info->options->lease_ns == 2 * SHMQ_SECOND && info->options->in_flight == 7);
    CHECK(info->options->max_deliveries == SHMQ_UNLIMITED);
    CHECK_TEXT("graves", info->options->dead_letter);
    CHECK(info->options->retry_delay_ns == SHMQ_SECOND);
    CHECK(info->options->retry_delay_max_ns == 4 * SHMQ_SECOND && info->options->pause_stopped);
    CHECK(info->options->mode == 0750 && info->group_gid == (uint32_t)getgid());
    CHECK(info->options->overflow == SHMQ_OVERFLOW_REJECT);
    shmq_queue_info_free(info);
    CHECK_OK(shmq_edit(client, "edited", &changes));
    CHECK_OK(shmq_info(client, "edited", &info));
    CHECK_TEXT("", info->options->dead_letter);
    shmq_queue_info_free(info);

    changes.which = SHMQ_CHANGE_SPILL_LIMIT; /* it has no journal */
    changes.spill_limit = 1 << 20;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_edit(client, "edited", &changes));
    changes.which = SHMQ_CHANGE_OVERFLOW;
    changes.overflow = (shmq_overflow)9;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_edit(client, "edited", &changes));
    changes.overflow = SHMQ_OVERFLOW_BLOCK;
    changes.which = 2 * SHMQ_CHANGE_WHEN_FULL;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_edit(client, "edited", &changes));
    changes.which = SHMQ_CHANGE_OVERFLOW;
    CHECK_CODE(SHMQ_QUEUE_NOT_FOUND, shmq_edit(client, "nothing", &changes));
    CHECK_OK(shmq_remove(client, "edited", 0));
}

static void a_paused_queue_says_so(void) {
    shmq_queue_info* info = NULL;
    shmq_producer* producer = NULL;
    shmq_consumer* consumer = NULL;
    shmq_message* message = shmq_message_new();
    CHECK_OK(shmq_create(client, "paused", NULL));
    CHECK_OK(shmq_producer_open(client, "paused", &producer));
    CHECK_OK(shmq_consumer_open(client, "paused", NULL, &consumer));
    CHECK_OK(shmq_producer_send(producer, "job", 3, SHMQ_NOW));
    CHECK_OK(shmq_pause(client, "paused", SHMQ_SIDE_PRODUCERS));
    CHECK_OK(shmq_info(client, "paused", &info));
    CHECK(info->producers_paused && !info->consumers_paused);
    shmq_queue_info_free(info);
    CHECK_OK(shmq_consumer_receive(consumer, message, 30 * SHMQ_SECOND));
    CHECK_OK(shmq_message_nack(message));
    CHECK_OK(shmq_pause(client, "paused", SHMQ_SIDE_BOTH));
    CHECK_CODE(SHMQ_PAUSED, shmq_producer_send(producer, "x", 1, SHMQ_NOW));
    CHECK(strstr(shmq_error_message(), "`shmq resume`") != NULL);
    CHECK_CODE(SHMQ_TIMED_OUT, shmq_producer_send(producer, "x", 1, SHMQ_MILLISECOND));
    CHECK_CODE(SHMQ_PAUSED, shmq_consumer_receive(consumer, message, SHMQ_NOW));
    CHECK_CODE(SHMQ_TIMED_OUT, shmq_consumer_receive(consumer, message, SHMQ_MILLISECOND));
    CHECK(strstr(shmq_error_message(), "paused is paused") != NULL);
    CHECK_OK(shmq_resume(client, "paused", SHMQ_SIDE_CONSUMERS));
    CHECK_OK(shmq_consumer_receive(consumer, message, 30 * SHMQ_SECOND));
    CHECK_CODE(SHMQ_PAUSED, shmq_producer_send(producer, "x", 1, SHMQ_NOW));
    CHECK_OK(shmq_resume(client, "paused", SHMQ_SIDE_BOTH));
    CHECK_OK(shmq_producer_send(producer, "x", 1, SHMQ_NOW));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_pause(client, "paused", (shmq_side)3));
    CHECK_CODE(SHMQ_QUEUE_NOT_FOUND, shmq_resume(client, "nothing", SHMQ_SIDE_BOTH));
    shmq_message_free(message);
    shmq_producer_close(producer);
    shmq_consumer_close(consumer);
    CHECK_OK(shmq_remove(client, "paused", 1));
}

int main(void) {
    CHECK_OK(shmq_connect(NULL, &client));
    queues_come_and_go();
    a_queue_is_edited();
    a_paused_queue_says_so();
    shmq_client_close(client);
    puts("ok");
    return 0;
}
