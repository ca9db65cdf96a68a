// The loop on io_uring. Watching is a multishot poll: one submission per source, one completion per
// edge, and all submissions of a round go to the kernel with the wait itself.
//
// Submissions are only prepared until the next collect(), so the thread that waits is the one that
// submits: a ring built in one thread and run in another works.
#include <liburing.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "daemon/io/io.hpp"

namespace shmq::daemon {
namespace {

constexpr unsigned submissions_max = 256;
constexpr unsigned completions_max = 4096;
// Completions nobody waits for: those of removals. A token's slot never reaches this.
constexpr std::uint64_t removal_mark = UINT64_MAX;

std::string explain(int error) {
    std::string text = std::string("io_uring_setup: ") + std::strerror(error);
    switch (error) {
        case EPERM:
            return text + " (a seccomp filter, or sysctl kernel.io_uring_disabled)";
        case ENOSYS:
            return text + " (a kernel or a seccomp filter without it)";
        case ENOMEM:
            return text + " (limit of locked memory, ulimit -l)";
        default:
            return text;
    }
}

class UringIo final : public Io {
  public:
    UringIo() = default;
    ~UringIo() override {
        if (!made_) return;
        ::io_uring_submit(&ring_);  // removals still queued: they let go of their descriptors
        ::io_uring_queue_exit(&ring_);
    }

    // 0, or why not.
    int open() {
        io_uring_params params{};
        params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = completions_max;
        const int result = ::io_uring_queue_init_params(submissions_max, &ring_, &params);
        if (result < 0) return -result;
        made_ = true;
        // Timed waits and completions that are never dropped: Linux 5.11, older than all we run on.
        constexpr unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
        return (params.features & needed) == needed ? 0 : ENOSYS;
    }

    const char* name() const override { return "io_uring"; }

  protected:
    void arm(Token token, int fd, unsigned events) override {
        io_uring_sqe* entry = next_entry();
        ::io_uring_prep_poll_multishot(entry, fd, events);
        ::io_uring_sqe_set_data64(entry, token);
    }

    void disarm(Token token, int) override {
        io_uring_sqe* entry = next_entry();
        ::io_uring_prep_poll_remove(entry, token);
        ::io_uring_sqe_set_data64(entry, removal_mark);
    }

    void collect(Nanoseconds wait_ns) override {
        io_uring_cqe* first = nullptr;
        int result = 0;
        if (wait_ns == 0) {
            result = ::io_uring_submit_and_get_events(&ring_);
        } else if (wait_ns == no_deadline) {
            result = ::io_uring_submit_and_wait(&ring_, 1);
        } else {
            __kernel_timespec wait{};
            wait.tv_sec = wait_ns / nanoseconds_per_second;
            wait.tv_nsec = wait_ns % nanoseconds_per_second;
            result = ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &wait, nullptr);
        }
        // ETIME and EINTR end a wait. EBUSY and EAGAIN: the kernel wants completions taken first;
        // what was not submitted goes along the next time.
        SHMQ_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
                   result == -EAGAIN);
        take_completions();
    }

  private:
    io_uring_sqe* next_entry() {
        io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
        while (entry == nullptr) {
            const int result = ::io_uring_submit(&ring_);
            SHMQ_CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
            if (result < 0) take_completions();
            entry = ::io_uring_get_sqe(&ring_);
        }
        return entry;
    }

    void take_completions() {
        io_uring_cqe* entry = nullptr;
        while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
            const Token token = ::io_uring_cqe_get_data64(entry);
            const int result = entry->res;
            const bool goes_on = (entry->flags & IORING_CQE_F_MORE) != 0;
            ::io_uring_cqe_seen(&ring_, entry);
            if (token == removal_mark || !is_current(token)) continue;
            if (result >= 0) {
                mark_ready(token, static_cast<unsigned>(result));
            } else if (result != -ECANCELED) {
                mark_ready(token, POLLERR);  // not a descriptor that can be polled
                continue;
            }
            // The kernel ends a multishot poll when completions overflow, or with the thread that
            // submitted it. Arming anew reports what was missed.
            if (!goes_on) arm(token, descriptor_of(token), events_of(token));
        }
    }

    io_uring ring_{};
    bool made_ = false;
};

}  // namespace

std::unique_ptr<Io> create_uring(std::string& refusal) {
    auto io = std::make_unique<UringIo>();
    if (const int error = io->open(); error != 0) {
        refusal = explain(error);
        return nullptr;
    }
    return io;
}

}  // namespace shmq::daemon
