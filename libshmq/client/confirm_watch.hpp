// Confirms as a descriptor, for programs that wait for many things at once: a thread that sleeps
// where await_confirm does, and tells by an eventfd.
#pragma once

#include <atomic>
#include <memory>

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
    ConfirmWatch(shm::JournalArea& area, Fd event) noexcept
        : area_(area), event_(std::move(event)) {}
    static void* run(void* self) noexcept;
    void watch() noexcept;

    shm::JournalArea& area_;
    Fd event_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> ended_{false};
};

}  // namespace shmq
