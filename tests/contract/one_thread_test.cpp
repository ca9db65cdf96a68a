// A handle that two threads use at once is told of, in builds that look for it; one that goes from
// thread to thread is not.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <shmq/client.hpp>
#include <string>
#include <thread>

#include "support/private_daemon.hpp"

namespace shmq {
namespace {

using std::chrono::seconds;

class OneThread : public testing::Test {
  protected:
    Client connect() { return value_or_throw(Client::connect({.socket = daemon_.socket()})); }

    support::PrivateDaemon daemon_;
};

TEST_F(OneThread, HandlesGoFromThreadToThread) {
    auto client = connect();
    value_or_throw(client.create("handed"));
    auto producer = value_or_throw(client.producer("handed"));
    auto consumer = value_or_throw(client.consumer("handed"));
    std::optional<Message> held;
    for (int i = 0; i < 100; ++i) {
        std::thread([&] { value_or_throw(producer.send("m")); }).join();
        std::thread([&] { held = value_or_throw(consumer.receive_for(seconds(20))); }).join();
        std::thread([&] { value_or_throw(held->ack()); }).join();
    }
    std::thread([own = std::move(producer)]() mutable { value_or_throw(own.send("m")); }).join();
    // The one call that any thread may make.
    std::thread stops([&] { consumer.stop_waiting(); });
    const auto last = consumer.receive();
    EXPECT_TRUE(last || last.condition() == Condition::interrupted);
    stops.join();
}

#ifdef SHMQ_CHECK_THREADS

// Each of them says which queue, and which two threads.
constexpr const char* told =
    "queue shared_by_two: two threads use one handle at once: thread [0-9]+ \\(.+\\) is in a call, "
    "and thread [0-9]+ \\(.+\\) makes another";

class OneThreadDeathTest : public OneThread {
  protected:
    // One thread stays in a call for good; we call again and again, and sooner or later meet it.
    [[noreturn]] static void clash(const std::function<void()>& stays,
                                   const std::function<void()>& calls) {
        std::thread other(stays);
        const auto end = std::chrono::steady_clock::now() + seconds(20);
        while (std::chrono::steady_clock::now() < end)
            calls();
        std::_Exit(0);  // nobody has told us
    }
    Client client_with_queue() {
        auto client = connect();
        QueueOptions options;
        options.capacity = 64;
        value_or_throw(client.declare("shared_by_two", options));
        return client;
    }
};

TEST_F(OneThreadDeathTest, ConsumerThatReceivesIsCalled) {
    EXPECT_DEATH(
        {
            auto client = client_with_queue();
            auto consumer = value_or_throw(client.consumer("shared_by_two"));
            clash([&] { static_cast<void>(consumer.receive()); },
                  [&] { static_cast<void>(consumer.try_receive()); });
        },
        told);
}

TEST_F(OneThreadDeathTest, MessageIsAckedWhileItsConsumerReceives) {
    EXPECT_DEATH(
        {
            auto client = client_with_queue();
            value_or_throw(value_or_throw(client.producer("shared_by_two")).send("m"));
            auto consumer = value_or_throw(client.consumer("shared_by_two"));
            auto message = value_or_throw(consumer.receive());
            clash([&] { static_cast<void>(consumer.receive()); },
                  [&] { static_cast<void>(message.extend()); });
        },
        told);
}

TEST_F(OneThreadDeathTest, ProducerThatWaitsForRoomIsCalled) {
    EXPECT_DEATH(
        {
            auto client = client_with_queue();
            auto producer = value_or_throw(client.producer("shared_by_two"));
            while (producer.try_send("m")) {
            }
            clash([&] { static_cast<void>(producer.send("m")); },
                  [&] { static_cast<void>(producer.try_send("m")); });
        },
        told);
}

#endif

}  // namespace
}  // namespace shmq
