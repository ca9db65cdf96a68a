// Messages by an io_uring of the program's own (Linux 6.7): it sleeps on the queues' words itself,
// beside its reads and writes, without a thread or a descriptor of the library's.
#include <shmq/client.hpp>
#include <shmq/wait_set.hpp>

#include <liburing.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "expect.hpp"

using namespace std::chrono_literals;

namespace {

constexpr int op_futex_waitv = 53;  // IORING_OP_FUTEX_WAITV, for headers that are older
constexpr std::uint64_t messages = 1;
constexpr std::uint64_t time_limit = 2;

// A kernel that does not know the operation completes it with EINVAL.
bool kernel_can(io_uring& ring) {
    io_uring_probe* probe = ::io_uring_get_probe_ring(&ring);
    const bool can = probe != nullptr && probe->last_op >= op_futex_waitv &&
                     (probe->ops[op_futex_waitv].flags & IO_URING_OP_SUPPORTED) != 0;
    if (probe != nullptr) ::io_uring_free_probe(probe);
    return can;
}

// Sleeps on all words of the set, at most as long as it says.
void submit(io_uring& ring, const shmq::WaitSet::Sleep& sleep, __kernel_timespec& most) {
    io_uring_sqe* wait = ::io_uring_get_sqe(&ring);
    ::io_uring_prep_rw(op_futex_waitv, wait, 0, sleep.words.data(),
                       static_cast<unsigned>(sleep.words.size()), 0);
    wait->flags |= IOSQE_IO_LINK;
    ::io_uring_sqe_set_data64(wait, messages);
    most = {sleep.at_most / 1s, (sleep.at_most % 1s).count()};
    io_uring_sqe* limit = ::io_uring_get_sqe(&ring);
    ::io_uring_prep_link_timeout(limit, &most, 0);
    ::io_uring_sqe_set_data64(limit, time_limit);
    expect(::io_uring_submit(&ring) == 2, "the sleep is submitted");
}

}  // namespace

int main() {
    io_uring ring{};
    const int refused = ::io_uring_queue_init(8, &ring, 0);
    if (refused != 0 || !kernel_can(ring)) {
        std::printf("skipped: %s\n", refused != 0
                                         ? "io_uring is not to be had here"
                                         : "this kernel's io_uring has no futex operations");
        return 0;
    }
    auto client = shmq::value_or_throw(shmq::Client::connect());
    auto set = shmq::value_or_throw(shmq::WaitSet::create());
    shmq::value_or_throw(client.declare("example/ring_a"));
    shmq::value_or_throw(client.declare("example/ring_b"));
    auto a = shmq::value_or_throw(client.consumer("example/ring_a"));
    auto b = shmq::value_or_throw(client.consumer("example/ring_b"));
    shmq::value_or_throw(set.add(a));
    shmq::value_or_throw(set.add(b));

    constexpr int wanted = 10;
    std::thread sender([&] {
        auto first = shmq::value_or_throw(client.producer("example/ring_a"));
        auto second = shmq::value_or_throw(client.producer("example/ring_b"));
        for (int i = 0; i < wanted; ++i) {
            std::this_thread::sleep_for(5ms);
            shmq::value_or_throw((i % 2 == 0 ? first : second).send("x"));
        }
    });
    __kernel_timespec most{};
    int received = 0;
    int slept = 0;
    while (received < wanted) {
        const auto sleep = shmq::value_or_throw(set.prepare());
        if (!sleep.words.empty()) {
            submit(ring, sleep, most);
            // A loop would do its other completions here, too. The wait and its limit both
            // complete.
            for (int completions = 0; completions < 2; ++completions) {
                io_uring_cqe* done = nullptr;
                expect(::io_uring_wait_cqe(&ring, &done) == 0, "a completion");
                if (::io_uring_cqe_get_data64(done) == messages && done->res >= 0) ++slept;
                ::io_uring_cqe_seen(&ring, done);
            }
        }
        for (shmq::Consumer* consumer : shmq::value_or_throw(set.try_wait())) {
            while (auto message = shmq::value_or_throw(consumer->try_receive())) {
                shmq::value_or_throw(message->ack());
                ++received;
            }
        }
    }
    sender.join();
    expect(received == wanted, "every message came");
    expect(slept > 0, "and woke the ring");
    ::io_uring_queue_exit(&ring);
    shmq::value_or_throw(client.remove("example/ring_a", true));
    shmq::value_or_throw(client.remove("example/ring_b", true));
}
