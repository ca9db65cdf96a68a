// Numbers from one process to another, as fast as they go, until told to end.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <shmq/client.hpp>

#include "e2e/daemon_process.hpp"

namespace shmq::daemon::test {

// What both sides of a stream count, in memory that both see.
struct Tally {
    std::atomic<std::uint64_t> sent{0};
    std::atomic<std::uint64_t> received{0};
    std::atomic<std::uint64_t> out_of_order{0};
    std::atomic<bool> stop{false};
    std::atomic<bool> all_sent{false};
};

// A stream of numbers from one process to another; both end with 0 if they saw no error.
class Stream {
  public:
    Stream(const std::string& socket, const std::string& queue) : queue_(queue) {
        tally_ = static_cast<Tally*>(::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        new (tally_) Tally;
        sender_ = start_child([&] { return send(socket); });
        receiver_ = start_child([&] { return receive(socket); });
    }
    ~Stream() { ::munmap(tally_, sizeof(Tally)); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    const Tally& tally() const { return *tally_; }
    bool goes_on() const {
        const std::uint64_t before = tally_->received;
        return eventually([&] { return tally_->received > before + 1000; });
    }
    void finish() {
        tally_->stop = true;
        EXPECT_EQ(wait_for(sender_), 0);
        EXPECT_EQ(wait_for(receiver_), 0);
        EXPECT_EQ(tally_->sent, tally_->received);
        EXPECT_EQ(tally_->out_of_order, 0u);
    }

  private:
    int send(const std::string& socket) {
        auto client = value_or_throw(shmq::Client::connect({.socket = socket}));
        auto producer = value_or_throw(client.producer(queue_));
        while (!tally_->stop) {
            const std::uint64_t number = tally_->sent;
            if (const auto sent = producer.send(std::to_string(number)); !sent) {
                std::fprintf(stderr, "send: %s\n", sent.error().message().c_str());
                return 1;
            }
            tally_->sent = number + 1;
        }
        tally_->all_sent = true;
        return 0;
    }
    int receive(const std::string& socket) {
        auto client = value_or_throw(shmq::Client::connect({.socket = socket}));
        auto consumer = value_or_throw(client.consumer(queue_));
        while (!tally_->all_sent || tally_->received < tally_->sent) {
            auto message = consumer.receive_for(std::chrono::milliseconds(50));
            if (!message && message.condition() == Condition::timed_out) continue;
            if (!message) {
                std::fprintf(stderr, "receive: %s\n", message.error().message().c_str());
                return 1;
            }
            tally_->out_of_order += message->text() != std::to_string(tally_->received);
            tally_->received += 1;
            if (!message->ack()) return 2;
        }
        return 0;
    }

    std::string queue_;
    Tally* tally_ = nullptr;
    pid_t sender_ = -1;
    pid_t receiver_ = -1;
};

}  // namespace shmq::daemon::test
