#include <shmq/producer.hpp>

#include "c/handles.hpp"
#include "c/translate.hpp"

using namespace shmq::c;
using Deadline = shmq::Producer::Deadline;

namespace {

std::span<const std::byte> bytes_of(const void* data, size_t size) {
    return {static_cast<const std::byte*>(data), size};
}

void let_go(shmq_producer* producer) {
    if (--producer->holders == 0) delete producer;
}

bool is_level(const shmq_durability& level) {
    return shmq::c::number_of(level) <= SHMQ_DURABLE;
}

shmq_code fail_level() {
    return guarded([] {
        return fail(shmq::Error(shmq::Condition::invalid_argument, "there is no such durability"));
    });
}

}  // namespace

shmq_code shmq_producer_open(shmq_client* client, const char* queue,
                             shmq_producer** producer) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    if (producer == nullptr) return fail_null("the place for the producer");
    return guarded([&] {
        auto opened = client->client.producer(queue);
        if (opened) *producer = new shmq_producer{std::move(opened).value()};
        return code_of(opened);
    });
}

void shmq_producer_close(shmq_producer* producer) noexcept {
    if (producer == nullptr) return;
    producer->producer.reset();
    let_go(producer);
}

shmq_code shmq_producer_send(shmq_producer* producer, const void* data, size_t size,
                             int64_t timeout_ns) noexcept {
    if (producer == nullptr) [[unlikely]]
        return fail_null("the producer");
    if (data == nullptr && size != 0) [[unlikely]]
        return fail_null("the payload");
    const auto payload = bytes_of(data, size);
    shmq::Producer& to = *producer->producer;
    return code_of(with_timeout(
        timeout_ns, [&] { return to.try_send(payload); },
        [&](Deadline deadline) { return to.send_until(payload, deadline); },
        [&] { return to.send(payload); }));
}

shmq_code shmq_producer_send_batch(shmq_producer* producer, const shmq_bytes* payloads,
                                   size_t count, int64_t timeout_ns, size_t* sent) noexcept {
    if (sent == nullptr) return fail_null("the place for the number sent");
    *sent = 0;
    if (producer == nullptr) return fail_null("the producer");
    if (payloads == nullptr && count != 0) return fail_null("the payloads");
    return guarded([&] {
        auto& spans = producer->payloads;
        spans.clear();
        for (size_t index = 0; index < count; ++index) {
            const shmq_bytes& payload = payloads[index];
            if (payload.data == nullptr && payload.size != 0) return fail_null("a payload");
            spans.push_back(bytes_of(payload.data, payload.size));
        }
        shmq::Producer& to = *producer->producer;
        const auto done = with_timeout(
            timeout_ns, [&] { return to.try_send_batch(spans); },
            [&](Deadline deadline) { return to.send_batch_until(spans, deadline); },
            [&] { return to.send_batch(spans); });
        if (done) *sent = *done;
        return code_of(done);
    });
}

uint64_t shmq_producer_max_message(const shmq_producer* producer) noexcept {
    return producer != nullptr ? producer->producer->max_message() : 0;
}

void shmq_producer_stop_waiting(shmq_producer* producer) noexcept {
    if (producer != nullptr) producer->producer->stop_waiting();
}

// ---- Loans -------------------------------------------------------------------------------------

shmq_code shmq_loan_open(shmq_producer* producer, size_t size, int64_t timeout_ns,
                         shmq_loan** loan) noexcept {
    if (producer == nullptr) return fail_null("the producer");
    if (loan == nullptr) return fail_null("the place for the loan");
    return guarded([&] {
        shmq::Producer& from = *producer->producer;
        auto lent = with_timeout(
            timeout_ns, [&] { return from.try_loan(size); },
            [&](Deadline deadline) { return from.loan_until(size, deadline); },
            [&] { return from.loan(size); });
        if (!lent) return fail(lent.error());
        *loan = new shmq_loan{producer, std::move(lent).value()};
        ++producer->holders;
        return SHMQ_OK;
    });
}

void* shmq_loan_data(shmq_loan* loan) noexcept {
    return loan != nullptr ? loan->loan.data() : nullptr;
}

size_t shmq_loan_size(const shmq_loan* loan) noexcept {
    return loan != nullptr ? loan->loan.size() : 0;
}

shmq_code shmq_loan_shrink(shmq_loan* loan, size_t size) noexcept {
    if (loan == nullptr) return fail_null("the loan");
    if (size > loan->loan.size()) {
        return guarded([] {
            return fail(shmq::Error(shmq::Condition::invalid_argument, "a loan cannot grow"));
        });
    }
    loan->loan.shrink(size);
    return SHMQ_OK;
}

shmq_code shmq_loan_send(shmq_loan* loan, int64_t timeout_ns) noexcept {
    if (loan == nullptr) return fail_null("the loan");
    if (!loan->owner->producer) return fail(shmq::Condition::closed);
    shmq::Producer& to = *loan->owner->producer;
    const auto done = with_timeout(
        timeout_ns, [&] { return to.try_send(loan->loan); },
        [&](Deadline deadline) { return to.send_until(loan->loan, deadline); },
        [&] { return to.send(loan->loan); });
    if (done) shmq_loan_free(loan);
    return code_of(done);
}

void shmq_loan_free(shmq_loan* loan) noexcept {
    if (loan == nullptr) return;
    shmq_producer* owner = loan->owner;
    delete loan;
    let_go(owner);
}

// ---- Confirms ----------------------------------------------------------------------------------

uint64_t shmq_producer_last_receipt(const shmq_producer* producer) noexcept {
    return producer != nullptr ? producer->producer->last_receipt() : 0;
}

int shmq_producer_is_confirmed(const shmq_producer* producer, uint64_t receipt,
                               shmq_durability level) noexcept {
    return producer != nullptr && is_level(level) &&
           producer->producer->is_confirmed(receipt, static_cast<shmq::Durability>(level));
}

shmq_code shmq_producer_await_confirm(shmq_producer* producer, uint64_t receipt,
                                      shmq_durability level, int64_t timeout_ns) noexcept {
    if (producer == nullptr) return fail_null("the producer");
    if (!is_level(level)) return fail_level();
    const auto wanted = static_cast<shmq::Durability>(level);
    const auto until = [&](Deadline deadline) {
        return producer->producer->await_confirm_until(receipt, wanted, deadline);
    };
    return code_of(with_timeout(
        timeout_ns, [&] { return until(Deadline::min()); }, until,
        [&] { return until(Deadline::max()); }));
}

shmq_code shmq_producer_confirm_descriptor(shmq_producer* producer, int* descriptor) noexcept {
    if (producer == nullptr) return fail_null("the producer");
    if (descriptor == nullptr) return fail_null("the place for the descriptor");
    const auto opened = producer->producer->confirm_descriptor();
    if (opened) *descriptor = *opened;
    return code_of(opened);
}
