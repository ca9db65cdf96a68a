// Plain calls, one after the other, on a thread made with the first of them.
#include <sys/eventfd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "daemon/journal/engine.hpp"

namespace shmq::journal {
namespace {

class ThreadEngine final : public Engine {
  public:
    explicit ThreadEngine(Fd ready) : Engine(std::move(ready)) {}
    ~ThreadEngine() override {
        {
            const std::lock_guard guard(mutex_);
            stopping_ = true;
        }
        work_came_.notify_all();
        if (worker_.joinable()) worker_.join();
    }

    const char* name() const override { return "thread"; }

    bool turns() override {
        const std::lock_guard guard(mutex_);
        const bool idles = !waiting_.empty() && !under_way_;
        const bool hangs = idles && idle_before_ && begun_ == begun_before_;
        idle_before_ = idles;
        begun_before_ = begun_;
        return !hangs;
    }

  protected:
    void submit(std::unique_ptr<Operation> operation) override {
        {
            const std::lock_guard guard(mutex_);
            waiting_.push_back(std::move(operation));
        }
        work_came_.notify_one();
        if (worker_.joinable()) return;
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        // Signals are for the thread that waits for them.
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        worker_ = std::thread([this] { work(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void collect(bool wait) override {
        std::unique_lock guard(mutex_);
        if (wait) work_done_.wait(guard, [this] { return !done_.empty(); });
        for (auto& [operation, result] : done_)
            finished(std::move(operation), result);
        done_.clear();
    }

  private:
    void work() {
        std::unique_lock guard(mutex_);
        for (;;) {
            work_came_.wait(guard, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            std::unique_ptr<Operation> operation = std::move(waiting_.front());
            waiting_.pop_front();
            ++begun_;
            under_way_ = true;
            guard.unlock();
            const std::int64_t result = perform(*operation);
            guard.lock();
            under_way_ = false;
            done_.emplace_back(std::move(operation), result);
            ::eventfd_write(ready_.get(), 1);
            work_done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable work_came_;
    std::condition_variable work_done_;
    std::deque<std::unique_ptr<Operation>> waiting_;
    std::deque<std::pair<std::unique_ptr<Operation>, std::int64_t>> done_;
    bool stopping_ = false;
    bool under_way_ = false;
    std::uint64_t begun_ = 0;
    // As of the last time that somebody asked whether it turns.
    bool idle_before_ = false;
    std::uint64_t begun_before_ = 0;
    std::thread worker_;
};

}  // namespace

std::unique_ptr<Engine> create_thread_engine(Fd ready) {
    return std::make_unique<ThreadEngine>(std::move(ready));
}

}  // namespace shmq::journal
