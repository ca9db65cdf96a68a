// The loop for systems that refuse io_uring: containers and services with a seccomp filter, hosts
// with kernel.io_uring_disabled.
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/check.hpp"
#include "base/fd.hpp"
#include "daemon/io/io.hpp"

namespace shmq::daemon {
namespace {

constexpr int events_a_wait_max = 256;

class EpollIo final : public Io {
  public:
    explicit EpollIo(Fd epoll) : epoll_(std::move(epoll)) {}

    const char* name() const override { return "epoll"; }

  protected:
    void arm(Token token, int fd, unsigned events) override {
        epoll_event event{};
        event.events = events | EPOLLET;  // poll's and epoll's bits are the same on Linux
        event.data.u64 = token;
        // Files that are always ready (regular ones) cannot be watched: nobody passes one here but
        // in place of a pidfd or eventfd, which are checked before.
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) mark_ready(token, EPOLLERR);
    }

    void disarm(Token, int fd) override { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

    void collect(Nanoseconds wait_ns) override {
        epoll_event events[events_a_wait_max];
        timespec wait{};
        wait.tv_sec = wait_ns / nanoseconds_per_second;
        wait.tv_nsec = wait_ns % nanoseconds_per_second;
        const int count = ::epoll_pwait2(epoll_.get(), events, events_a_wait_max,
                                         wait_ns == no_deadline ? nullptr : &wait, nullptr);
        if (count < 0) {
            SHMQ_CHECK(errno == EINTR);
            return;
        }
        for (int i = 0; i < count; ++i)
            mark_ready(events[i].data.u64, events[i].events);
    }

  private:
    Fd epoll_;
};

}  // namespace

std::unique_ptr<Io> create_epoll(std::string& refusal) {
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) {
        refusal = std::string("epoll_create1: ") + std::strerror(errno);
        return nullptr;
    }
    return std::make_unique<EpollIo>(std::move(epoll));
}

}  // namespace shmq::daemon
