// Confirms as a descriptor, for programs that wait for many things at once: a thread that sleeps
// where await_confirm does, and tells by an eventfd.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>

#include "base/fd.hpp"
#include "shm/layout.hpp"

namespace shmq {

class ConfirmWatch {
  public:
    // Null: no thread or no descriptor is to be had. The area must outlive the object.
    static std::unique_ptr<ConfirmWatch> start(shm::JournalArea& area) noexcept;
    // Ends the thread, and waits for that. Not in a child of fork: there it is not running.
    ~ConfirmWatch();
    ConfirmWatch(const ConfirmWatch&) = delete;
    ConfirmWatch& operator=(const ConfirmWatch&) = delete;

    // Readable after more was confirmed, or confirms have ended; reading clears it.
    int descriptor() const noexcept { return event_.get(); }

  private:
    using Reached = std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>;

    ConfirmWatch(shm::JournalArea& area, Fd event) noexcept
        : area_(area), event_(std::move(event)), told_(reached()) {}
    Reached reached() const noexcept;
    static void* run(void* self) noexcept;
    void watch() noexcept;

    shm::JournalArea& area_;
    Fd event_;
    Reached told_;  // as of start(): what comes before the thread runs is news, too
    std::atomic<bool> stop_{false};
    std::atomic<bool> ended_{false};
};

}  // namespace shmq
