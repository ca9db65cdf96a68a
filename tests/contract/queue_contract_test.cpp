// The contract of a queue through the C++ door, the same for every combination of shared and
// exclusive roles.
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <shmq/client.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/private_daemon.hpp"

namespace shmq {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

support::PrivateDaemon& daemon() {
    static support::PrivateDaemon instance;
    return instance;
}

struct Roles {
    const char* name;
    bool exclusive_producer;
    bool exclusive_consumer;
};

class QueueContract : public testing::TestWithParam<Roles> {
  protected:
    QueueContract() : client_(value_or_throw(Client::connect({.socket = daemon().socket()}))) {
        options_.capacity = 64;
        options_.max_message = 8 << 20;
        options_.in_flight = 32;
        options_.exclusive_producer = GetParam().exclusive_producer;
        options_.exclusive_consumer = GetParam().exclusive_consumer;
    }
    ~QueueContract() override { static_cast<void>(client_.remove(queue_, true)); }

    void create() { value_or_throw(client_.create(queue_, options_)); }
    Producer producer() { return value_or_throw(client_.producer(queue_)); }
    Consumer consumer() { return value_or_throw(client_.consumer(queue_)); }
    QueueInfo info() { return value_or_throw(client_.describe(queue_)); }
    Message next(Consumer& consumer) { return value_or_throw(consumer.receive_for(seconds(20))); }
    static bool empty(Consumer& consumer) {
        return !value_or_throw(consumer.try_receive()).has_value();
    }

    std::string queue_ = "contract/queue";
    QueueOptions options_;
    Client client_;
};

TEST_P(QueueContract, DeliversInOrderAndOnce) {
    create();
    auto out = producer();
    auto in = consumer();
    for (int round = 0; round < 1000; ++round) {
        const std::string text = "message " + std::to_string(round);
        ASSERT_TRUE(out.send(text).ok());
        auto message = next(in);
        EXPECT_EQ(message.text(), text);
        EXPECT_FALSE(message.redelivered());
        EXPECT_EQ(message.deliveries(), 1u);
        EXPECT_TRUE(message.ack().ok());
    }
    EXPECT_TRUE(empty(in));
    const auto books = info();
    EXPECT_EQ(books.sent, 1000u);
    EXPECT_EQ(books.acked, 1000u);
    EXPECT_EQ(books.ready + books.leased + books.returned, 0u);
}

TEST_P(QueueContract, CarriesEverySize) {
    create();
    auto out = producer();
    auto in = consumer();
    for (const std::size_t size : {0uz, 1uz, 31uz, 32uz, 33uz, 1023uz, 1024uz, 1025uz, 4096uz,
                                   65537uz, std::size_t{1} << 20, std::size_t{8} << 20}) {
        std::string text(size, 'x');
        for (std::size_t i = 0; i < size; i += 97)
            text[i] = static_cast<char>(i);
        ASSERT_TRUE(out.send(text).ok()) << size;
        auto message = next(in);
        EXPECT_TRUE(message.text() == text) << size;
        EXPECT_TRUE(message.ack().ok());
    }
    const auto refused = out.send(std::string((std::size_t{8} << 20) + 1, 'x'));
    EXPECT_EQ(refused.condition(), Condition::too_big);
    EXPECT_NE(refused.error().message().find(queue_), std::string::npos);
    EXPECT_NE(refused.error().message().find("8388608"), std::string::npos);
    EXPECT_TRUE(empty(in));
}

TEST_P(QueueContract, NackReturnsBeforeNewOnes) {
    create();
    auto out = producer();
    auto in = consumer();
    for (const char* text : {"a", "b", "c"})
        ASSERT_TRUE(out.send(text).ok());
    auto first = next(in);
    const auto sequence = first.sequence();
    EXPECT_TRUE(first.nack().ok());
    auto again = next(in);
    EXPECT_EQ(again.text(), "a");
    EXPECT_EQ(again.sequence(), sequence);
    EXPECT_TRUE(again.redelivered());
    EXPECT_EQ(again.deliveries(), 2u);
    EXPECT_EQ(again.failures(), 0u);
    EXPECT_TRUE(again.ack().ok());
    EXPECT_EQ(next(in).text(), "b");
}

TEST_P(QueueContract, DroppedMessagesGoBack) {
    create();
    auto out = producer();
    auto in = consumer();
    ASSERT_TRUE(out.send("again").ok());
    { auto dropped = next(in); }
    auto message = next(in);
    EXPECT_EQ(message.text(), "again");
    EXPECT_TRUE(message.redelivered());
    EXPECT_TRUE(message.ack().ok());
    EXPECT_TRUE(empty(in));
}

TEST_P(QueueContract, RejectedMessagesGoToTheDeadLetterQueue) {
    create();
    auto out = producer();
    auto in = consumer();
    ASSERT_TRUE(out.send("poison").ok());
    ASSERT_TRUE(out.send(std::string(100'000, 'p')).ok());
    auto first = next(in);
    const std::uint64_t sequence = first.sequence();
    EXPECT_FALSE(first.history());
    EXPECT_TRUE(first.reject().ok());
    EXPECT_TRUE(next(in).reject().ok());
    for (int tries = 0; tries < 2000 && info().dead_lettered < 2; ++tries) {
        std::this_thread::sleep_for(milliseconds(5));
    }
    const auto books = info();
    EXPECT_EQ(books.dead_lettered, 2u);
    EXPECT_EQ(books.dead_rejected, 2u);
    EXPECT_EQ(books.dropped, 0u);
    EXPECT_EQ(books.ready + books.leased + books.returned + books.held, 0u);
    EXPECT_TRUE(empty(in));

    auto dead = value_or_throw(client_.consumer(queue_ + ".dlq"));
    auto letter = next(dead);
    EXPECT_EQ(letter.text(), "poison");
    EXPECT_TRUE(letter.redelivered());
    const auto history = letter.history();
    ASSERT_TRUE(history);
    EXPECT_EQ(history->reason, "rejected");
    EXPECT_EQ(history->source, queue_);
    EXPECT_EQ(history->sequence, sequence);
    EXPECT_EQ(history->failures, 1u);
    EXPECT_EQ(history->deliveries, 1u);
    EXPECT_EQ(history->pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(history->redriven, 0u);
    EXPECT_TRUE(letter.ack().ok());
    EXPECT_FALSE(letter.history()) << "of a handle that has ended";
    EXPECT_EQ(next(dead).size(), 100'000u);
    value_or_throw(client_.remove(queue_ + ".dlq", true));
}

TEST_P(QueueContract, RejectedMessagesWithoutADeadLetterQueueAreCounted) {
    options_.dead_letter = "";
    create();
    auto out = producer();
    auto in = consumer();
    ASSERT_TRUE(out.send("poison").ok());
    EXPECT_TRUE(next(in).reject().ok());
    for (int tries = 0; tries < 2000 && info().dropped_rejected < 1; ++tries) {
        std::this_thread::sleep_for(milliseconds(5));
    }
    EXPECT_EQ(info().dropped_rejected, 1u);
    EXPECT_EQ(info().dropped, 1u);
    EXPECT_TRUE(empty(in));
}

TEST_P(QueueContract, EndedHandlesAreStale) {
    create();
    auto out = producer();
    auto in = consumer();
    ASSERT_TRUE(out.send("once").ok());
    auto message = next(in);
    EXPECT_TRUE(message.still_held());
    EXPECT_TRUE(message.ack().ok());
    EXPECT_FALSE(message.still_held());
    EXPECT_EQ(message.ack().condition(), Condition::stale);
    EXPECT_EQ(message.nack().condition(), Condition::stale);
    EXPECT_EQ(message.reject().condition(), Condition::stale);
    EXPECT_EQ(message.extend().condition(), Condition::stale);
}

TEST_P(QueueContract, MessagesOutliveTheirConsumerAsStale) {
    create();
    auto out = producer();
    auto in = std::make_unique<Consumer>(consumer());
    ASSERT_TRUE(out.send("kept").ok());
    auto message = next(*in);
    in.reset();
    EXPECT_EQ(message.text(), "kept");  // still mapped
    EXPECT_FALSE(message.still_held());
    EXPECT_EQ(message.ack().condition(), Condition::stale);
    auto successor = consumer();
    auto again = next(successor);
    EXPECT_EQ(again.text(), "kept");
    EXPECT_TRUE(again.redelivered());
    EXPECT_EQ(again.failures(), 0u);  // its consumer left, it did not fail
    EXPECT_TRUE(again.ack().ok());
}

TEST_P(QueueContract, FullQueuesRefuseOrWait) {
    create();
    auto out = producer();
    std::size_t sent = 0;
    while (out.try_send("x").ok())
        ++sent;
    EXPECT_EQ(sent, 64u);
    EXPECT_EQ(out.try_send("x").condition(), Condition::full);
    EXPECT_EQ(out.send_for(std::as_bytes(std::span("y", 1)), milliseconds(20)).condition(),
              Condition::timed_out);
    auto in = consumer();
    std::thread later([&] {
        std::this_thread::sleep_for(milliseconds(30));
        EXPECT_TRUE(next(in).ack().ok());
    });
    EXPECT_TRUE(out.send("z").ok());
    later.join();
    EXPECT_EQ(info().ready, 64u);
}

TEST_P(QueueContract, SleepingReceiversWake) {
    create();
    auto out = producer();
    auto in = consumer();
    std::thread later([&] {
        std::this_thread::sleep_for(milliseconds(50));
        EXPECT_TRUE(out.send("wake up").ok());
    });
    auto message = next(in);
    EXPECT_EQ(message.text(), "wake up");
    EXPECT_TRUE(message.ack().ok());
    later.join();
    EXPECT_EQ(in.receive_for(milliseconds(5)).condition(), Condition::timed_out);
}

TEST_P(QueueContract, StopWaitingInterruptsASleeper) {
    create();
    auto in = consumer();
    std::thread later([&] {
        std::this_thread::sleep_for(milliseconds(30));
        in.stop_waiting();
    });
    EXPECT_EQ(in.receive().condition(), Condition::interrupted);
    later.join();
    EXPECT_EQ(in.receive_for(milliseconds(1)).condition(), Condition::timed_out);
}

TEST_P(QueueContract, HoldsAtMostSoMany) {
    options_.in_flight = 4;
    create();
    auto out = producer();
    auto in = consumer();
    for (int i = 0; i < 6; ++i)
        ASSERT_TRUE(out.send("x").ok());
    std::vector<Message> held;
    EXPECT_EQ(in.in_flight_limit(), 4u);
    EXPECT_EQ(value_or_throw(in.try_receive_batch(held, 10)), 4u);
    EXPECT_EQ(in.in_flight(), 4u);
    EXPECT_EQ(in.receive().condition(), Condition::in_flight_limit);
    EXPECT_TRUE(held.back().ack().ok());
    held.pop_back();
    EXPECT_TRUE(in.receive_for(seconds(20)).ok());
}

TEST_P(QueueContract, BatchesKeepOrder) {
    create();
    auto out = producer();
    auto in = consumer();
    std::vector<std::string> texts;
    std::vector<std::span<const std::byte>> payloads;
    for (unsigned i = 0; i < 30; ++i)
        texts.push_back(std::to_string(i) + std::string(10 * i, '.'));
    for (const auto& text : texts)
        payloads.push_back(std::as_bytes(std::span(text)));
    for (int round = 0; round < 20; ++round) {
        ASSERT_EQ(value_or_throw(out.send_batch(payloads)), texts.size());
        std::vector<Message> batch;
        while (batch.size() < texts.size()) {
            value_or_throw(in.receive_batch_until(batch, texts.size() - batch.size(),
                                                  std::chrono::steady_clock::now() + seconds(20)));
        }
        for (std::size_t i = 0; i < texts.size(); ++i)
            EXPECT_EQ(batch[i].text(), texts[i]);
        EXPECT_EQ(in.ack(batch), texts.size());
        EXPECT_EQ(in.in_flight(), 0u);
    }
}

TEST_P(QueueContract, LoansTravelWithoutACopy) {
    create();
    auto out = producer();
    auto in = consumer();
    for (const std::size_t size : {0uz, 10uz, 5000uz, std::size_t{4} << 20}) {
        auto loan = value_or_throw(out.loan(size));
        ASSERT_EQ(loan.size(), size);
        std::fill_n(loan.data(), size, std::byte{0x5a});
        ASSERT_TRUE(out.send(loan).ok());
        EXPECT_EQ(out.send(loan).condition(), Condition::invalid_argument);  // spent
        auto message = next(in);
        EXPECT_EQ(message.size(), size);
        EXPECT_TRUE(std::ranges::all_of(message.bytes(),
                                        [](std::byte byte) { return byte == std::byte{0x5a}; }));
        EXPECT_TRUE(message.ack().ok());
    }
    auto shrunk = value_or_throw(out.loan(100'000));
    shrunk.shrink(3);
    ASSERT_TRUE(out.send(shrunk).ok());
    EXPECT_EQ(next(in).size(), 3u);
}

TEST_P(QueueContract, DroppedLoansAreFree) {
    options_.max_message = 1 << 20;
    options_.pool = 4 << 20;  // two of the largest blocks, a few smaller ones
    create();
    auto out = producer();
    for (int i = 0; i < 100; ++i) {
        auto loan = out.try_loan(1 << 20);
        ASSERT_TRUE(loan.ok()) << i;
    }
    std::vector<Loan> loans;
    for (;;) {
        auto loan = out.try_loan(1 << 20);
        if (!loan) {
            EXPECT_EQ(loan.condition(), Condition::full);
            break;
        }
        loans.push_back(std::move(*loan));
    }
    EXPECT_EQ(loans.size(), 2u);
}

TEST_P(QueueContract, ExpiredLeasesGoToAnotherAndTheLateAckIsStale) {
    options_.lease = milliseconds(100);
    create();
    auto out = producer();
    auto in = consumer();
    if (GetParam().exclusive_consumer) {
        // What an exclusive consumer has read is nobody else's until it dies or detaches.
        ASSERT_TRUE(out.send("kept").ok());
        auto message = next(in);
        std::this_thread::sleep_for(milliseconds(400));
        EXPECT_TRUE(message.ack().ok());
        return;
    }
    ASSERT_TRUE(out.send("late").ok());
    auto message = next(in);
    auto other = consumer();
    auto again = next(other);
    EXPECT_EQ(again.text(), "late");
    EXPECT_EQ(again.failures(), 1u);
    EXPECT_FALSE(message.still_held());
    EXPECT_EQ(message.ack().condition(), Condition::stale);
    EXPECT_TRUE(again.ack().ok());
    EXPECT_EQ(info().expired, 1u);
}

TEST_P(QueueContract, ExtendedLeasesLast) {
    options_.lease = milliseconds(100);
    create();
    auto out = producer();
    auto in = consumer();
    ASSERT_TRUE(out.send("long work").ok());
    auto message = next(in);
    ASSERT_TRUE(message.extend(seconds(60)).ok());
    std::this_thread::sleep_for(milliseconds(500));
    EXPECT_TRUE(message.still_held());
    EXPECT_TRUE(message.ack().ok());
    EXPECT_EQ(info().expired, 0u);
}

TEST_P(QueueContract, PurgeDropsWhatNobodyHolds) {
    create();
    auto out = producer();
    auto in = consumer();
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(out.send(std::string(2000, 'p')).ok());
    auto held = next(in);
    value_or_throw(client_.purge(queue_));
    EXPECT_TRUE(empty(in));
    EXPECT_TRUE(held.ack().ok());
    const auto books = info();
    EXPECT_EQ(books.purged, 9u);
    EXPECT_EQ(books.acked, 1u);
    EXPECT_EQ(books.ready + books.leased + books.returned, 0u);
    ASSERT_TRUE(out.send("after").ok());
    EXPECT_EQ(next(in).text(), "after");
}

TEST_P(QueueContract, RemovalEndsSleepersAndUsers) {
    create();
    auto out = producer();
    auto in = consumer();
    std::thread sleeper([&] {
        const auto nothing = in.receive();
        EXPECT_EQ(nothing.condition(), Condition::queue_removed);
        EXPECT_NE(nothing.error().message().find("queue removed"), std::string::npos);
    });
    std::this_thread::sleep_for(milliseconds(30));
    EXPECT_EQ(client_.remove(queue_).condition(), Condition::queue_in_use);
    EXPECT_TRUE(client_.remove(queue_, true).ok());
    sleeper.join();
    EXPECT_EQ(out.send("x").condition(), Condition::queue_removed);
    EXPECT_EQ(client_.describe(queue_).condition(), Condition::queue_not_found);
}

TEST_P(QueueContract, ExclusiveRolesAreTakenOnce) {
    create();
    auto out = producer();
    auto in = consumer();
    auto second_out = client_.producer(queue_);
    auto second_in = client_.consumer(queue_);
    EXPECT_EQ(second_out.condition(),
              GetParam().exclusive_producer ? Condition::role_taken : Condition{});
    EXPECT_EQ(second_in.condition(),
              GetParam().exclusive_consumer ? Condition::role_taken : Condition{});
    {
        const auto gone_out = std::move(out);
        const auto gone_in = std::move(in);
    }
    EXPECT_TRUE(client_.producer(queue_).ok());
    EXPECT_TRUE(client_.consumer(queue_).ok());
    EXPECT_EQ(out.send("x").condition(), Condition::closed);
}

TEST_P(QueueContract, CumulativeAckIsForExclusiveConsumers) {
    create();
    auto out = producer();
    auto in = consumer();
    for (unsigned i = 0; i < 8; ++i)
        ASSERT_TRUE(out.send(std::string(100 * i, 'c')).ok());
    std::vector<Message> batch;
    ASSERT_EQ(value_or_throw(in.try_receive_batch(batch, 8)), 8u);
    if (!GetParam().exclusive_consumer) {
        EXPECT_EQ(in.ack_through(batch[3]).condition(), Condition::invalid_argument);
        EXPECT_EQ(in.ack(batch), 8u);
        return;
    }
    EXPECT_TRUE(batch[2].ack().ok());
    EXPECT_EQ(value_or_throw(in.ack_through(batch[5])), 5u);
    EXPECT_EQ(batch[0].ack().condition(), Condition::stale);
    EXPECT_TRUE(batch[6].ack().ok());
    EXPECT_TRUE(batch[7].nack().ok());
    batch.clear();
    EXPECT_EQ(in.in_flight(), 0u);
    auto again = next(in);
    EXPECT_EQ(again.size(), 700u);
    EXPECT_TRUE(again.redelivered());
    EXPECT_EQ(value_or_throw(in.ack_through(again)), 1u);
    EXPECT_EQ(in.in_flight(), 0u);
    EXPECT_EQ(info().acked, 8u);
}

TEST_P(QueueContract, SequencesRiseAndTimesAreSteady) {
    options_.exact_timestamps = true;
    create();
    auto out = producer();
    auto in = consumer();
    std::uint64_t last = 0;
    auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(out.send("tick").ok());
        auto message = next(in);
        EXPECT_TRUE(i == 0 || message.sequence() > last);
        last = message.sequence();
        EXPECT_GE(message.timestamp(), before);
        EXPECT_LE(message.timestamp(), std::chrono::steady_clock::now());
        before = message.timestamp();
        EXPECT_TRUE(message.ack().ok());
    }
}

INSTANTIATE_TEST_SUITE_P(Doors, QueueContract,
                         testing::Values(Roles{"Shared", false, false},
                                         Roles{"ExclusiveProducer", true, false},
                                         Roles{"ExclusiveConsumer", false, true},
                                         Roles{"Exclusive", true, true}),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace shmq
