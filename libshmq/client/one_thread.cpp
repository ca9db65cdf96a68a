#include "client/one_thread.hpp"

#ifdef SHMQ_CHECK_THREADS

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace shmq {
namespace {

std::string name_of(int thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/comm");
    std::string name;
    std::getline(file, name);
    return "thread " + std::to_string(thread) + (name.empty() ? "" : " (" + name + ")");
}

}  // namespace

OneThread::Use::Use(const OneThread& handle, const std::string& queue, const ForkGuard& fork) {
    if (fork.forked()) return;
    const int self = ::gettid();
    int present = 0;
    if (handle.state_->thread.compare_exchange_strong(present, self, std::memory_order_relaxed)) {
        state_ = handle.state_;
    } else if (present != self) {
        std::fprintf(
            stderr,
            "shmq: queue %s: two threads use one handle at once: %s is in a call, and %s "
            "makes another. A Producer, or a Consumer with its messages, is for one thread "
            "at a time: make one for each thread, or take turns under a lock.\n",
            queue.c_str(), name_of(present).c_str(), name_of(self).c_str());
        std::abort();
    }
}

}  // namespace shmq

#endif
