#include <shmq/wait_set.hpp>

#include <algorithm>
#include <cstddef>

#include "c/handles.hpp"
#include "c/translate.hpp"

using namespace shmq::c;

static_assert(SHMQ_WAIT_SET_SIZE_MAX == shmq::WaitSet::size_max);
static_assert(sizeof(shmq_futex_word) == sizeof(shmq::FutexWord) &&
              offsetof(shmq_futex_word, address) == offsetof(shmq::FutexWord, address) &&
              offsetof(shmq_futex_word, flags) == offsetof(shmq::FutexWord, flags));

// The C++ set knows its consumers by themselves; we know them by what C holds.
struct shmq_wait_set {
    shmq::WaitSet set;
    std::vector<shmq_consumer*> consumers = {};

    shmq_consumer* handle_of(const shmq::Consumer* consumer) const noexcept {
        return *std::find_if(consumers.begin(), consumers.end(),
                             [&](const auto* each) { return &each->consumer == consumer; });
    }
    void forget(shmq_consumer* consumer) noexcept {
        consumers.erase(std::find(consumers.begin(), consumers.end(), consumer));
        consumer->set = nullptr;
    }
};

void shmq::c::leave_set(shmq_consumer* consumer) noexcept {
    if (consumer->set != nullptr) consumer->set->forget(consumer);
}

shmq_code shmq_wait_set_open(shmq_wait_set** set) noexcept {
    if (set == nullptr) return fail_null("the place for the wait set");
    return guarded([&] {
        auto made = shmq::WaitSet::create();
        if (made) *set = new shmq_wait_set{std::move(made).value()};
        return code_of(made);
    });
}

void shmq_wait_set_close(shmq_wait_set* set) noexcept {
    if (set == nullptr) return;
    for (shmq_consumer* consumer : set->consumers)
        consumer->set = nullptr;
    delete set;
}

shmq_code shmq_wait_set_add(shmq_wait_set* set, shmq_consumer* consumer) noexcept {
    if (set == nullptr) return fail_null("the wait set");
    if (consumer == nullptr) return fail_null("the consumer");
    return guarded([&] {
        set->consumers.reserve(set->consumers.size() + 1);
        const auto added = set->set.add(consumer->consumer);
        if (!added) return fail(added.error());
        set->consumers.push_back(consumer);
        consumer->set = set;
        return SHMQ_OK;
    });
}

shmq_code shmq_wait_set_remove(shmq_wait_set* set, shmq_consumer* consumer) noexcept {
    if (set == nullptr) return fail_null("the wait set");
    if (consumer == nullptr) return fail_null("the consumer");
    const auto removed = set->set.remove(consumer->consumer);
    if (removed) set->forget(consumer);
    return code_of(removed);
}

size_t shmq_wait_set_size(const shmq_wait_set* set) noexcept {
    return set != nullptr ? set->set.size() : 0;
}

shmq_code shmq_wait_set_wait(shmq_wait_set* set, shmq_consumer** ready, size_t most,
                             int64_t timeout_ns, size_t* count) noexcept {
    if (count == nullptr) return fail_null("the place for the number of consumers");
    *count = 0;
    if (set == nullptr) return fail_null("the wait set");
    if (ready == nullptr || most == 0) return fail_null("the place for the consumers");
    const auto told = with_timeout(
        timeout_ns, [&] { return set->set.try_wait(); },
        [&](shmq::WaitSet::Deadline deadline) { return set->set.wait_until(deadline); },
        [&] { return set->set.wait(); });
    if (!told) return fail(told.error());
    for (const shmq::Consumer* consumer : *told) {
        if (*count == most) break;
        ready[(*count)++] = set->handle_of(consumer);
    }
    return *count != 0 ? SHMQ_OK : fail(shmq::Condition::nothing);
}

shmq_code shmq_wait_set_descriptor(shmq_wait_set* set, int* descriptor) noexcept {
    if (set == nullptr) return fail_null("the wait set");
    if (descriptor == nullptr) return fail_null("the place for the descriptor");
    const auto found = set->set.descriptor();
    if (!found) return fail(found.error());
    *descriptor = *found;
    return SHMQ_OK;
}

shmq_code shmq_wait_set_prepare(shmq_wait_set* set, const shmq_futex_word** words, size_t* count,
                                int64_t* at_most_ns) noexcept {
    if (set == nullptr) return fail_null("the wait set");
    if (words == nullptr || count == nullptr || at_most_ns == nullptr)
        return fail_null("the place for the words, their number or their time");
    const auto sleep = set->set.prepare();
    if (!sleep) return fail(sleep.error());
    *words = reinterpret_cast<const shmq_futex_word*>(sleep->words.data());
    *count = sleep->words.size();
    *at_most_ns = sleep->at_most.count();
    return SHMQ_OK;
}

void shmq_wait_set_stop_waiting(shmq_wait_set* set) noexcept {
    if (set != nullptr) set->set.stop_waiting();
}
