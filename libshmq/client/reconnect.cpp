#include "client/reconnect.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "client/background.hpp"
#include "client/fork_guard.hpp"

namespace shmq {
namespace {

constexpr Nanoseconds delay_least_ns = 2 * nanoseconds_per_millisecond;
constexpr Nanoseconds delay_most_ns = 250 * nanoseconds_per_millisecond;

class Reconnector {
  public:
    Reconnector() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    bool forked() const { return fork_.forked(); }
    void add(const std::shared_ptr<Reconnecting>& session);
    void wake() const {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t count = ::write(wake_.get(), &one, sizeof one);
    }

  private:
    struct Entry {
        std::shared_ptr<Reconnecting> session;
        Nanoseconds due = 0;  // of the next try
        Nanoseconds delay = 0;
    };

    static void* run(void* self);
    [[noreturn]] void look_after();
    // Waits until a connection ends, somebody wakes us, or a try is due.
    void wait(std::vector<pollfd>& watched);
    void look_at(Entry& entry, bool hung_up);

    ForkGuard fork_;
    Fd wake_;
    std::mutex mutex_;  // guards all below
    std::vector<Entry> entries_;
    bool started_ = false;
};

void Reconnector::add(const std::shared_ptr<Reconnecting>& session) {
    const std::lock_guard lock(mutex_);
    const bool known = std::any_of(entries_.begin(), entries_.end(),
                                   [&](const Entry& entry) { return entry.session == session; });
    if (known) return;
    started_ = started_ || (wake_ && start_background_thread("shmq-session", run, this));
    if (!started_) return;
    entries_.push_back({session, 0, 0});
    wake();
}

void* Reconnector::run(void* self) {
    static_cast<Reconnector*>(self)->look_after();
}

void Reconnector::look_after() {
    std::vector<pollfd> watched;
    for (;;) {
        wait(watched);
        std::vector<Entry> entries;
        {
            const std::lock_guard lock(mutex_);
            std::erase_if(entries_, [](const Entry& entry) { return entry.session->finished(); });
            entries = entries_;
        }
        // Without the lock: a try waits for the daemon, and others must be able to add meanwhile.
        for (Entry& entry : entries) {
            const int connection = entry.session->connection();
            const bool hung_up =
                std::any_of(watched.begin() + 1, watched.end(),
                            [&](const auto& w) { return w.fd == connection && w.revents != 0; });
            look_at(entry, hung_up);
        }
        const std::lock_guard lock(mutex_);
        for (Entry& kept : entries_) {
            const auto seen = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
                return entry.session == kept.session;
            });
            if (seen != entries.end()) kept = *seen;
        }
    }
}

void Reconnector::wait(std::vector<pollfd>& watched) {
    Nanoseconds due = no_deadline;
    watched.assign(1, {wake_.get(), POLLIN, 0});
    {
        const std::lock_guard lock(mutex_);
        for (const Entry& entry : entries_) {
            const int connection = entry.session->connection();
            // One whose try failed is left alone until the next is due.
            if (connection < 0 || entry.delay != 0) {
                due = std::min(due, entry.due);
            } else {
                watched.push_back({connection, POLLRDHUP, 0});
            }
        }
    }
    const Nanoseconds left =
        due == no_deadline ? 0 : std::max<Nanoseconds>(0, due - monotonic_now());
    const timespec time{left / nanoseconds_per_second, left % nanoseconds_per_second};
    ::ppoll(watched.data(), watched.size(), due == no_deadline ? nullptr : &time, nullptr);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
}

void Reconnector::look_at(Entry& entry, bool hung_up) {
    const bool lost = hung_up || entry.session->connection() < 0;
    if (!lost) {
        entry.delay = 0;
        return;
    }
    if (monotonic_now() < entry.due) return;
    if (entry.session->reconnect()) {
        entry.delay = 0;
        entry.due = 0;
        return;
    }
    entry.delay = std::clamp(2 * entry.delay, delay_least_ns, delay_most_ns);
    entry.due = deadline_after(monotonic_now(), entry.delay);
}

// Never destroyed: the thread may run until the very end of the process. After fork the child's
// copy, whose thread and locks stayed behind, is left alone and another one made.
std::atomic<Reconnector*> instance{nullptr};

Reconnector* of_this_process() {
    Reconnector* present = instance.load();
    while (present == nullptr || present->forked()) {
        auto made = std::make_unique<Reconnector>();
        if (instance.compare_exchange_strong(present, made.get())) return made.release();
    }
    return present;
}

}  // namespace

void keep_connected(const std::shared_ptr<Reconnecting>& session) noexcept {
    try {
        of_this_process()->add(session);
    } catch (...) {
        // Out of memory: the session lives on what its calls notice.
    }
}

void look_at_connections() noexcept {
    const Reconnector* present = instance.load();
    if (present != nullptr && !present->forked()) present->wake();
}

}  // namespace shmq
