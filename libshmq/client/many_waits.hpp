// Waiting for messages of many queues: the loop of waiting.hpp over several of them. It looks, and
// takes nothing.
//
// A wake-up of one of the queues is used up by whoever it wakes, and futex_waitv tells of one queue
// only. So whoever has slept wakes another sleeper of each queue where something is, before it says
// so to its caller: the caller may take that message late, or never.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "client/waiting.hpp"
#include "shm/queue.hpp"
#include "shm/wait.hpp"

namespace shmq {

// One queue, as its consumer waits for it.
struct WaitPlace {
    shm::ReceiveSide* side = nullptr;
    bool plain_wakers = false;   // those who wake publish by plain stores
    Nanoseconds look_again = 0;  // how long a sleep may last at most
    // What the last look said.
    shm::ReceiveStatus status = shm::ReceiveStatus::empty;
    bool registered = false;
    shm::WaitTicket ticket;
    std::uint64_t returns = 0;  // announced before it registered

    shm::WaitPoint& point() const noexcept { return side->view().header->items; }
    bool tells() const noexcept {
        return status == shm::ReceiveStatus::received || status == shm::ReceiveStatus::closed;
    }
};

class ManyWaits {
  public:
    // One word is stop()'s.
    static constexpr std::size_t places_max = shm::wait_words_max - 1;

    enum class End { ready, timed_out, interrupted, refused };

    // Until one of the places tells something, the deadline comes, or stop() was called. `look`
    // stores in `place.status` what a look says: look(place, thorough). REQUIRES: at most
    // places_max, each looked at just before in vain. refused: the kernel's errno is
    // refused_with().
    template <typename Look>
    End until(std::span<WaitPlace> places, Nanoseconds deadline, Look look);
    // Looks at each. Whether any tells something.
    template <typename Look>
    static bool look_at_all(std::span<WaitPlace> places, bool thorough, Look look);

    // The steps of a sleep, for who sleeps otherwise. Registers in each where something may come,
    // then looks at each: false, and nothing is registered, if one tells something.
    template <typename Look>
    static bool prepare(std::span<WaitPlace> places, bool thorough, Look look);
    static void leave(std::span<WaitPlace> places) noexcept;
    // After any sleep, of who will not take at once: wakes another sleeper where something is.
    static void pass_on(std::span<WaitPlace> places) noexcept;
    // How long a sleep may last.
    static Nanoseconds longest_sleep(std::span<const WaitPlace> places) noexcept;
    // Of those registered. Returns how many. REQUIRES: room for all.
    static std::size_t words_of(std::span<const WaitPlace> places, shm::WaitWord* words) noexcept;

    // Any thread, any signal handler.
    void stop() noexcept {
        stop_.store(1);
        shm::wake_private(stop_);
    }
    // Whether the last call of until() slept.
    bool slept() const noexcept { return slept_; }
    int refused_with() const noexcept { return refused_with_; }

  private:
    static void enroll(std::span<WaitPlace> places) noexcept;
    static void stand_down(std::span<WaitPlace> places) noexcept;
    static bool all_registered(std::span<const WaitPlace> places) noexcept;
    template <typename Look>
    bool spin(std::span<WaitPlace> places, Look look);
    shm::WaitEnd sleep(std::span<const WaitPlace> places, Nanoseconds until) noexcept;

    shm::Atomic<std::uint32_t> stop_{0};  // a futex, too
    SpinBudget spins_{first_spins()};
    bool slept_ = false;
    int refused_with_ = 0;
    std::array<shm::WaitWord, shm::wait_words_max> words_;
};

template <typename Look>
bool ManyWaits::look_at_all(std::span<WaitPlace> places, bool thorough, Look look) {
    bool any = false;
    for (WaitPlace& place : places) {
        look(place, thorough);
        any = any || place.tells();
    }
    return any;
}

// As long as that of one queue: more queues are looked at less often.
template <typename Look>
bool ManyWaits::spin(std::span<WaitPlace> places, Look look) {
    const std::size_t rounds =
        std::size_t{spins_.rounds()} * looks_a_round / std::max<std::size_t>(places.size(), 1);
    for (std::size_t round = 0; round < rounds; ++round) {
        const bool there = std::any_of(places.begin(), places.end(), [](const WaitPlace& place) {
            return place.side->ready_ahead(0);
        });
        const bool worth_a_look = there || round % looks_a_round == looks_a_round - 1;
        if (worth_a_look && look_at_all(places, false, look)) {
            spins_.paid();
            return true;
        }
        if (round >= looks_a_round) shm::cpu_relax();
    }
    spins_.was_in_vain();
    return false;
}

// Where nothing may be received there is nothing to register for. Should that have changed by the
// second look, it begins anew.
template <typename Look>
bool ManyWaits::prepare(std::span<WaitPlace> places, bool thorough, Look look) {
    for (;;) {
        enroll(places);
        const bool any = look_at_all(places, thorough, look);
        stand_down(places);
        if (!any && all_registered(places)) return true;
        leave(places);
        if (any) return false;
    }
}

template <typename Look>
ManyWaits::End ManyWaits::until(std::span<WaitPlace> places, Nanoseconds deadline, Look look) {
    slept_ = false;
    if (spin(places, look)) return End::ready;
    bool thorough = false;
    for (;;) {
        const bool ready = !prepare(places, thorough, look);
        const bool stopped = !ready && stop_.load() != 0;
        const Nanoseconds now = ready || stopped ? 0 : monotonic_now();
        if (ready || stopped || now >= deadline) {
            if (!ready) leave(places);
            if (slept_) pass_on(places);
            if (ready) return End::ready;
            if (!stopped) return End::timed_out;
            stop_.store(0);
            return End::interrupted;
        }
        const Nanoseconds end = deadline_after(now, longest_sleep(places));
        const shm::WaitEnd ended = sleep(places, std::min(deadline, end));
        leave(places);
        if (ended == shm::WaitEnd::refused) return End::refused;
        thorough = ended == shm::WaitEnd::timed_out;
    }
}

}  // namespace shmq
