#include "client/many_waits.hpp"

#include <cerrno>

namespace shmq {

// One barrier for all of them.
void ManyWaits::enroll(std::span<WaitPlace> places) noexcept {
    bool plain = false;
    for (WaitPlace& place : places) {
        place.registered = place.status != shm::ReceiveStatus::limit;
        if (!place.registered) continue;
        place.returns = place.side->view().map.returns();
        place.ticket = shm::enroll(place.point());
        plain = plain || place.plain_wakers;
    }
    if (shm::order_after_enrolling(plain)) return;
    for (const WaitPlace& place : places) {
        if (place.registered && place.plain_wakers) shm::ask_to_fence(place.point());
    }
}

// Who holds too many by now leaves what it was woken for to others.
void ManyWaits::stand_down(std::span<WaitPlace> places) noexcept {
    for (WaitPlace& place : places) {
        if (!place.registered || place.status != shm::ReceiveStatus::limit) continue;
        shm::leave_waiters(place.point(), place.ticket);
        place.registered = false;
        place.side->wake_another();
    }
}

bool ManyWaits::all_registered(std::span<const WaitPlace> places) noexcept {
    return std::all_of(places.begin(), places.end(), [](const WaitPlace& place) {
        return place.registered || place.status == shm::ReceiveStatus::limit;
    });
}

void ManyWaits::leave(std::span<WaitPlace> places) noexcept {
    for (WaitPlace& place : places) {
        if (place.registered) shm::leave_waiters(place.point(), place.ticket);
        place.registered = false;
    }
}

void ManyWaits::pass_on(std::span<WaitPlace> places) noexcept {
    for (const WaitPlace& place : places) {
        if (place.status == shm::ReceiveStatus::received) place.side->wake_another();
    }
}

Nanoseconds ManyWaits::longest_sleep(std::span<const WaitPlace> places) noexcept {
    Nanoseconds longest = no_deadline;
    for (const WaitPlace& place : places) {
        longest =
            std::min(longest, sleep_most(place.point(), place.plain_wakers, place.look_again));
    }
    return longest;
}

std::size_t ManyWaits::words_of(std::span<const WaitPlace> places, shm::WaitWord* words) noexcept {
    std::size_t count = 0;
    for (const WaitPlace& place : places) {
        if (place.registered) words[count++] = shm::word_of(place.point(), place.ticket);
    }
    return count;
}

shm::WaitEnd ManyWaits::sleep(std::span<const WaitPlace> places, Nanoseconds until) noexcept {
    words_[0] = shm::private_word(stop_, 0);
    const std::size_t count = 1 + words_of(places, words_.data() + 1);
    slept_ = true;
    const shm::WaitEnd end = shm::wait_any({words_.data(), count}, until);
    if (end == shm::WaitEnd::refused) refused_with_ = errno;
    return end;
}

}  // namespace shmq
