// Readiness as a descriptor, for programs that wait for many things at once: a thread that sleeps
// in place of a wait set's, and tells by an eventfd.
//
// The set's thread registers in its queues, finds nothing there (ManyWaits::prepare) and arms the
// watch, which sleeps on their words. Woken, it tells, ends the registrations, and passes the
// wake-up on. Unless it is armed it touches no queue, so the set's thread may do as it likes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/fd.hpp"
#include "client/many_waits.hpp"
#include "shm/queue.hpp"
#include "shm/wait.hpp"

namespace shmq {

// One thread at a time, but for what its own thread does.
class ReadyWatch {
  public:
    // Null: no thread or no descriptor is to be had.
    static std::unique_ptr<ReadyWatch> start() noexcept;
    // Ends the thread, and waits for that. REQUIRES: not armed. Not in a child of fork: there it is
    // not running.
    ~ReadyWatch();
    ReadyWatch(const ReadyWatch&) = delete;
    ReadyWatch& operator=(const ReadyWatch&) = delete;

    int descriptor() const noexcept { return event_.get(); }
    // Makes it readable, and not.
    void tell() noexcept;
    void clear() noexcept;

    // Takes the registrations over. REQUIRES: not armed; the queues stay until it is disarmed.
    void arm(std::span<const WaitPlace> places) noexcept;
    // Afterwards none of the registrations is left. Waits for the thread, if that still sleeps.
    void disarm() noexcept;
    // Whether the last sleep lasted as long as one may: hints are not to be believed any more.
    bool timed_out() const noexcept { return ended_by_ == shm::WaitEnd::timed_out; }
    // The errno with which the kernel has refused to sleep; 0: it has not.
    int refused_with() const noexcept { return refused_with_; }

  private:
    enum State : std::uint32_t { idle, armed, recalled, leaving, left };

    explicit ReadyWatch(Fd event) noexcept : event_(std::move(event)) {}
    static void* run(void* self) noexcept;
    void watch() noexcept;
    void sleep() noexcept;
    void change(State from, State to) noexcept;
    void await(State state) noexcept;

    Fd event_;
    shm::Atomic<std::uint32_t> state_{idle};  // a futex, too
    // Of who is armed, and after that of who disarms.
    std::size_t count_ = 0;
    std::array<WaitPlace, ManyWaits::places_max> places_;
    shm::WaitEnd ended_by_ = shm::WaitEnd::signalled;
    int refused_with_ = 0;
};

}  // namespace shmq
