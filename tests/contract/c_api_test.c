/* The C API against a daemon of its own (tests/support/run_example.sh): what each call does, and
 * what it answers when it cannot. */
#include <shmq/shmq.h>

#include <limits.h>
#include <stddef.h>

#include "support/c_check.h"

static shmq_client* client;
static shmq_producer* producer;
static shmq_consumer* consumer;
static shmq_message* message;

/* Structures may grow at their end; what there is stays where it is. */
typedef char connect_options_grow_only[offsetof(shmq_connect_options, timeout_ns) == 24 ? 1 : -1];
typedef char consumer_options_grow_only[offsetof(shmq_consumer_options, in_flight) == 8 ? 1 : -1];
typedef char queue_options_grow_only[offsetof(shmq_queue_options, in_flight) == 136 ? 1 : -1];
typedef char dead_letter_grows_only[offsetof(shmq_dead_letter, last_redriven_ns) == 80 ? 1 : -1];

static void open_queue(const char* name, const shmq_queue_options* options) {
    CHECK_OK(shmq_create(client, name, options));
    CHECK_OK(shmq_producer_open(client, name, &producer));
    CHECK_OK(shmq_consumer_open(client, name, NULL, &consumer));
}

static void close_queue(const char* name) {
    shmq_message_free(message);
    message = shmq_message_new();
    CHECK(message != NULL);
    shmq_producer_close(producer);
    shmq_consumer_close(consumer);
    CHECK_OK(shmq_remove(client, name, 1));
}

static void send_text(const char* text) {
    CHECK_OK(shmq_producer_send(producer, text, strlen(text), SHMQ_FOREVER));
}

static void expect_text(const char* text, const shmq_message* from) {
    CHECK(shmq_message_size(from) == strlen(text));
    CHECK(memcmp(shmq_message_data(from), text, strlen(text)) == 0);
}

static void receive_text(const char* text) {
    CHECK_OK(shmq_consumer_receive(consumer, message, 30 * SHMQ_SECOND));
    expect_text(text, message);
}

/* ---- Codes ------------------------------------------------------------------------------------
 */

static void codes_have_their_names(void) {
    static const struct {
        shmq_code code;
        const char* name;
    } rows[] = {
        {SHMQ_OK, "ok"},
        {SHMQ_NOTHING, "nothing"},
        {SHMQ_TIMED_OUT, "timed_out"},
        {SHMQ_FULL, "full"},
        {SHMQ_STALE, "stale"},
        {SHMQ_IN_FLIGHT_LIMIT, "in_flight_limit"},
        {SHMQ_QUEUE_REMOVED, "queue_removed"},
        {SHMQ_TOO_BIG, "too_big"},
        {SHMQ_INTERRUPTED, "interrupted"},
        {SHMQ_PAUSED, "paused"},
        {SHMQ_QUEUE_NOT_FOUND, "queue_not_found"},
        {SHMQ_QUEUE_EXISTS, "queue_exists"},
        {SHMQ_PERMISSION_DENIED, "permission_denied"},
        {SHMQ_ROLE_TAKEN, "role_taken"},
        {SHMQ_INVALID_ARGUMENT, "invalid_argument"},
        {SHMQ_QUOTA_EXCEEDED, "quota_exceeded"},
        {SHMQ_QUEUE_IN_USE, "queue_in_use"},
        {SHMQ_NO_DAEMON, "no_daemon"},
        {SHMQ_PROTOCOL_ERROR, "protocol_error"},
        {SHMQ_INCOMPATIBLE, "incompatible"},
        {SHMQ_CORRUPT, "corrupt"},
        {SHMQ_FORKED, "forked"},
        {SHMQ_CLOSED, "closed"},
        {SHMQ_QUARANTINED, "quarantined"},
        {SHMQ_SYSTEM_ERROR, "system_error"},
        {SHMQ_JOURNAL_FAILED, "journal_failed"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; ++row)
        CHECK_TEXT(rows[row].name, shmq_code_name(rows[row].code));
    CHECK(shmq_code_name((shmq_code)9999) != NULL);
    CHECK(strlen(shmq_version()) >= 5);
}

static void an_error_leaves_its_sentence(void) {
    shmq_connect_options options = SHMQ_CONNECT_OPTIONS_INIT;
    shmq_client* none = NULL;
    CHECK_TEXT("", shmq_error_message());
    CHECK(shmq_error_code() == SHMQ_OK);
    options.socket = "/nonexistent/socket";
    options.timeout_ns = 100 * SHMQ_MILLISECOND;
    CHECK_CODE(SHMQ_NO_DAEMON, shmq_connect(&options, &none));
    CHECK(none == NULL);
    CHECK(shmq_error_code() == SHMQ_NO_DAEMON);
    CHECK(strstr(shmq_error_message(), "/nonexistent/socket") != NULL);
}

static void options_of_another_version(void) {
    struct {
        shmq_queue_options options;
        uint64_t beyond;
    } newer;
    shmq_queue_options unset;
    memset(&newer, 0, sizeof newer);
    newer.options.struct_size = sizeof newer;
    CHECK_OK(shmq_declare(client, "newer", &newer.options));
    newer.beyond = 1;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_declare(client, "newer", &newer.options));
    CHECK_OK(shmq_remove(client, "newer", 0));
    memset(&unset, 0, sizeof unset);
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_declare(client, "unset", &unset));
    CHECK(strstr(shmq_error_message(), "_INIT") != NULL);
    /* An older one knew no more than its first option: what it has not is the default. */
    memset(&unset, 0xff, sizeof unset);
    unset.struct_size = offsetof(shmq_queue_options, overflow);
    unset.max_message = 4096;
    open_queue("older", &unset);
    CHECK(shmq_producer_max_message(producer) == 4096);
    close_queue("older");
}

/* ---- Sending and receiving --------------------------------------------------------------------
 */

static void timeouts(void) {
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    options.capacity = 64;
    options.max_message = 1000;
    open_queue("timeouts", &options);
    CHECK_CODE(SHMQ_NOTHING, shmq_consumer_receive(consumer, message, SHMQ_NOW));
    CHECK_CODE(SHMQ_TIMED_OUT, shmq_consumer_receive(consumer, message, SHMQ_MILLISECOND));
    shmq_consumer_stop_waiting(consumer);
    CHECK_CODE(SHMQ_INTERRUPTED, shmq_consumer_receive(consumer, message, SHMQ_FOREVER));
    shmq_consumer_stop_waiting(consumer);
    CHECK_CODE(SHMQ_INTERRUPTED, shmq_consumer_receive(consumer, message, INT64_MAX));
    for (int count = 0; count < 64; ++count)
        CHECK_OK(shmq_producer_send(producer, "x", 1, SHMQ_NOW));
    CHECK_CODE(SHMQ_FULL, shmq_producer_send(producer, "x", 1, SHMQ_NOW));
    CHECK_CODE(SHMQ_TIMED_OUT, shmq_producer_send(producer, "x", 1, SHMQ_MILLISECOND));
    shmq_producer_stop_waiting(producer);
    CHECK_CODE(SHMQ_INTERRUPTED, shmq_producer_send(producer, "x", 1, SHMQ_FOREVER));
    CHECK(shmq_producer_max_message(producer) == 1000);
    static char large[1001];
    CHECK_CODE(SHMQ_TOO_BIG, shmq_producer_send(producer, large, sizeof large, SHMQ_NOW));
    close_queue("timeouts");
}

static void an_empty_message_is_one(void) {
    open_queue("empty", NULL);
    CHECK_OK(shmq_producer_send(producer, NULL, 0, SHMQ_NOW));
    receive_text("");
    CHECK_OK(shmq_message_ack(message));
    close_queue("empty");
}

static void verbs_of_a_message(void) {
    shmq_queue_info* info = NULL;
    open_queue("verbs", NULL);
    send_text("job");
    receive_text("job");
    CHECK(!shmq_message_redelivered(message) && shmq_message_deliveries(message) == 1);
    CHECK(shmq_message_failures(message) == 0 && shmq_message_timestamp_ns(message) > 0);
    CHECK(shmq_message_still_held(message) && shmq_consumer_in_flight(consumer) == 1);
    CHECK(shmq_consumer_in_flight_limit(consumer) == 64 && !shmq_consumer_more_to_come(consumer));
    shmq_consumer_handling(consumer, message);
    CHECK_OK(shmq_message_extend(message, 0));
    CHECK_OK(shmq_message_extend(message, SHMQ_SECOND));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_message_extend(message, -1));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_message_nack_delayed(message, -1));
    CHECK(shmq_message_still_held(message));
    CHECK_OK(shmq_message_nack(message));
    CHECK(!shmq_message_still_held(message) && shmq_message_data(message) == NULL);

    const uint64_t sequence = shmq_message_sequence(message);
    CHECK(sequence == 0);
    receive_text("job");
    CHECK(shmq_message_redelivered(message) && shmq_message_deliveries(message) == 2);
    CHECK_OK(shmq_message_nack_delayed(message, 10 * SHMQ_MILLISECOND));
    receive_text("job");
    receive_text("job"); /* what is held goes back first */
    CHECK(shmq_message_deliveries(message) == 4);
    CHECK_OK(shmq_message_ack(message));
    CHECK_CODE(SHMQ_STALE, shmq_message_ack(message));
    CHECK_CODE(SHMQ_STALE, shmq_message_nack(message));
    CHECK_CODE(SHMQ_STALE, shmq_message_nack_delayed(message, SHMQ_SECOND));
    CHECK_CODE(SHMQ_STALE, shmq_message_reject(message));
    CHECK_CODE(SHMQ_STALE, shmq_message_extend(message, 0));
    CHECK_OK(shmq_info(client, "verbs", &info));
    CHECK(info->acked == 1 && info->ready + info->leased + info->returned == 0);
    shmq_queue_info_free(info);
    close_queue("verbs");
}

static void a_message_outlives_its_consumer(void) {
    open_queue("outlives", NULL);
    send_text("kept");
    receive_text("kept");
    shmq_consumer_close(consumer);
    expect_text("kept", message);
    CHECK_CODE(SHMQ_STALE, shmq_message_ack(message));
    CHECK_OK(shmq_consumer_open(client, "outlives", NULL, &consumer));
    receive_text("kept");
    CHECK(shmq_message_redelivered(message));
    close_queue("outlives");
}

static void batches(void) {
    enum { most = 8 };
    shmq_message* messages[most];
    const shmq_bytes payloads[] = {{"a", 1}, {"bb", 2}, {NULL, 0}, {"dddd", 4}};
    const shmq_bytes nothing_there = {NULL, 3};
    size_t count = 99;
    for (int index = 0; index < most; ++index)
        CHECK((messages[index] = shmq_message_new()) != NULL);
    open_queue("batches", NULL);
    CHECK_CODE(SHMQ_NOTHING,
               shmq_consumer_receive_batch(consumer, messages, most, SHMQ_NOW, &count));
    CHECK(count == 0);
    CHECK_CODE(SHMQ_TIMED_OUT,
               shmq_consumer_receive_batch(consumer, messages, most, SHMQ_MILLISECOND, &count));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT,
               shmq_producer_send_batch(producer, &nothing_there, 1, SHMQ_NOW, &count));
    CHECK_OK(shmq_producer_send_batch(producer, payloads, 4, SHMQ_SECOND, &count));
    CHECK(count == 4);
    CHECK_OK(shmq_producer_send_batch(producer, payloads, 2, SHMQ_FOREVER, &count));
    CHECK(count == 2);
    CHECK_OK(shmq_producer_send_batch(producer, payloads, 2, SHMQ_NOW, &count));
    CHECK_OK(shmq_consumer_receive_batch(consumer, messages, 3, SHMQ_FOREVER, &count));
    CHECK(count == 3);
    expect_text("a", messages[0]);
    expect_text("bb", messages[1]);
    CHECK(shmq_message_data(messages[3]) == NULL);
    CHECK_OK(shmq_message_ack(messages[1]));
    CHECK_OK(shmq_consumer_ack_batch(consumer, messages, most, &count));
    CHECK(count == 2);
    CHECK_OK(shmq_consumer_receive_batch(consumer, messages, most, SHMQ_SECOND, &count));
    CHECK(count == 5);
    expect_text("dddd", messages[0]);
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_consumer_ack_through(consumer, messages[4], &count));
    for (int index = 0; index < most; ++index)
        shmq_message_free(messages[index]); /* and the five go back */
    receive_text("dddd");
    close_queue("batches");
}

static void cumulative_acks(void) {
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    shmq_message* first = shmq_message_new();
    shmq_consumer* second = NULL;
    size_t acked = 0;
    options.exclusive_consumer = 1;
    open_queue("through", &options);
    CHECK_CODE(SHMQ_ROLE_TAKEN, shmq_consumer_open(client, "through", NULL, &second));
    CHECK(second == NULL);
    send_text("1");
    send_text("2");
    CHECK_OK(shmq_consumer_receive(consumer, first, SHMQ_FOREVER));
    receive_text("2");
    CHECK_OK(shmq_consumer_ack_through(consumer, message, &acked));
    CHECK(acked == 2);
    CHECK_CODE(SHMQ_STALE, shmq_message_ack(first));
    CHECK_CODE(SHMQ_STALE, shmq_consumer_ack_through(consumer, message, NULL));
    shmq_message_free(first);
    close_queue("through");
}

static void loans(void) {
    enum { size = 100000 };
    shmq_loan* loan = NULL;
    open_queue("loans", NULL);
    CHECK_OK(shmq_loan_open(producer, size, SHMQ_SECOND, &loan));
    CHECK(shmq_loan_size(loan) == size);
    memset(shmq_loan_data(loan), 'l', size);
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_loan_shrink(loan, size + 1));
    CHECK_OK(shmq_loan_shrink(loan, size - 1));
    CHECK_OK(shmq_loan_send(loan, SHMQ_FOREVER));
    CHECK_OK(shmq_consumer_receive(consumer, message, SHMQ_FOREVER));
    CHECK(shmq_message_size(message) == size - 1);
    CHECK(((const char*)shmq_message_data(message))[size - 2] == 'l');
    CHECK_OK(shmq_message_ack(message));
    CHECK_CODE(SHMQ_TOO_BIG, shmq_loan_open(producer, (size_t)1 << 40, SHMQ_NOW, &loan));
    CHECK_OK(shmq_loan_open(producer, size, SHMQ_FOREVER, &loan));
    shmq_loan_free(loan);
    CHECK_OK(shmq_loan_open(producer, size, SHMQ_NOW, &loan));
    shmq_producer_close(producer);
    CHECK_CODE(SHMQ_CLOSED, shmq_loan_send(loan, SHMQ_NOW)); /* it outlived its producer */
    shmq_loan_free(loan);
    CHECK_OK(shmq_producer_open(client, "loans", &producer));
    close_queue("loans");
}

static void dead_letters(void) {
    shmq_dead_letter* letter = NULL;
    shmq_consumer* graves = NULL; /* beside the other: who has gone has no name any more */
    open_queue("fragile", NULL);
    send_text("poison");
    receive_text("poison");
    CHECK_CODE(SHMQ_NOTHING, shmq_message_history(message, &letter));
    CHECK_OK(shmq_message_reject(message));
    CHECK_OK(shmq_declare(client, "fragile.dlq", NULL));
    CHECK_OK(shmq_consumer_open(client, "fragile.dlq", NULL, &graves));
    CHECK_OK(shmq_consumer_receive(graves, message, 30 * SHMQ_SECOND));
    expect_text("poison", message);
    CHECK_OK(shmq_message_history(message, &letter));
    CHECK_TEXT("rejected", letter->reason);
    CHECK_TEXT("fragile", letter->source);
    CHECK(letter->deliveries == 1 && letter->failures == 1 && letter->pid != 0);
    CHECK(letter->moved_ns > 0 && strstr(letter->executable, "c_api_test") != NULL);
    shmq_dead_letter_free(letter);
    CHECK_OK(shmq_message_ack(message));
    shmq_consumer_close(graves);
    close_queue("fragile");
    CHECK_OK(shmq_remove(client, "fragile.dlq", 1));
}

static void confirms(void) {
    shmq_queue_options options = SHMQ_QUEUE_OPTIONS_INIT;
    int descriptor = -1;
    open_queue("memory", NULL);
    CHECK_CODE(SHMQ_INVALID_ARGUMENT,
               shmq_producer_await_confirm(producer, 1, SHMQ_DURABLE, SHMQ_NOW));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_producer_confirm_descriptor(producer, &descriptor));
    close_queue("memory");
    options.durability = SHMQ_DURABLE;
    open_queue("durable", &options);
    send_text("kept");
    const uint64_t receipt = shmq_producer_last_receipt(producer);
    CHECK(receipt != 0);
    CHECK_OK(shmq_producer_confirm_descriptor(producer, &descriptor));
    CHECK(descriptor >= 0);
    CHECK_OK(shmq_producer_await_confirm(producer, receipt, SHMQ_ACCEPTED, SHMQ_NOW));
    CHECK_OK(shmq_producer_await_confirm(producer, receipt, SHMQ_DURABLE, SHMQ_FOREVER));
    CHECK_OK(shmq_producer_await_confirm(producer, receipt, SHMQ_LOGGED, SHMQ_NOW));
    CHECK(shmq_producer_is_confirmed(producer, receipt, SHMQ_DURABLE));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT,
               shmq_producer_await_confirm(producer, receipt, (shmq_durability)9, SHMQ_NOW));
    close_queue("durable");
}

static void null_is_refused(void) {
    size_t count = 0;
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_connect(NULL, NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_declare(NULL, "a", NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_declare(client, NULL, NULL));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_producer_send(NULL, "a", 1, SHMQ_NOW));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_producer_send_batch(NULL, NULL, 0, SHMQ_NOW, &count));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_consumer_receive(NULL, message, SHMQ_NOW));
    CHECK_CODE(SHMQ_INVALID_ARGUMENT, shmq_message_ack(NULL));
    CHECK(strstr(shmq_error_message(), "NULL") != NULL);
    CHECK(shmq_message_data(NULL) == NULL && shmq_message_size(NULL) == 0);
    shmq_client_close(NULL);
    shmq_producer_close(NULL);
    shmq_consumer_close(NULL);
    shmq_message_free(NULL);
    shmq_loan_free(NULL);
    shmq_queue_info_free(NULL);
    shmq_queue_list_free(NULL);
    shmq_daemon_info_free(NULL);
    shmq_dead_letter_free(NULL);
}

int main(void) {
    codes_have_their_names();
    an_error_leaves_its_sentence();
    message = shmq_message_new();
    CHECK_OK(shmq_connect(NULL, &client));
    options_of_another_version();
    timeouts();
    an_empty_message_is_one();
    verbs_of_a_message();
    a_message_outlives_its_consumer();
    batches();
    cumulative_acks();
    loans();
    dead_letters();
    confirms();
    null_is_refused();
    shmq_message_free(message);
    shmq_client_close(client);
    puts("ok");
    return 0;
}
