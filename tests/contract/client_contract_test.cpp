// What a Client promises beside its queues' data path, and what holds across processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <shmq/client.hpp>
#include <string>
#include <thread>

#include "support/private_daemon.hpp"

namespace {
std::atomic<bool> counting_allocations{false};
std::atomic<unsigned> allocations{0};
}  // namespace

#ifndef __SANITIZE_ADDRESS__  // which has its own
// Every allocation of the program, to see that hot calls make none.
[[gnu::noinline]] void* operator new(std::size_t size) {
    if (counting_allocations) ++allocations;
    if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif

namespace shmq {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ClientContract : public testing::Test {
  protected:
    support::PrivateDaemon daemon_;
    Client client_ = value_or_throw(Client::connect({.socket = daemon_.socket()}));
};

TEST_F(ClientContract, HotCallsAllocateNothing) {
    value_or_throw(client_.create("q"));
    auto producer = value_or_throw(client_.producer("q"));
    auto consumer = value_or_throw(client_.consumer("q"));
    const std::string large(10'000, 'l');
    const auto once = [&] {
        EXPECT_TRUE(producer.send("small").ok());
        EXPECT_TRUE(producer.send(large).ok());
        EXPECT_TRUE(consumer.receive()->ack().ok());
        EXPECT_TRUE(consumer.receive()->nack().ok());
        EXPECT_TRUE(consumer.receive()->extend().ok());  // and dropped: returned
        EXPECT_TRUE((*consumer.try_receive())->ack().ok());
        EXPECT_FALSE(consumer.try_receive()->has_value());
        auto loan = producer.loan(5000);
        EXPECT_TRUE(producer.send(*loan).ok());
        EXPECT_TRUE(consumer.receive()->ack().ok());
    };
    once();
    counting_allocations = true;
    for (int i = 0; i < 100; ++i)
        once();
    counting_allocations = false;
    EXPECT_EQ(allocations, 0u);
}

TEST_F(ClientContract, DeclareFindsOrMakes) {
    QueueOptions options;
    options.capacity = 128;
    EXPECT_TRUE(client_.declare("q", options).ok());
    EXPECT_TRUE(client_.declare("q", options).ok());
    EXPECT_TRUE(client_.declare("q").ok());
    options.capacity = 256;
    const auto differs = client_.declare("q", options);
    EXPECT_EQ(differs.condition(), Condition::queue_exists);
    EXPECT_NE(differs.error().message().find("capacity"), std::string::npos);
    EXPECT_EQ(client_.create("q").condition(), Condition::queue_exists);
}

TEST_F(ClientContract, BadOptionsNameTheirBounds) {
    const auto refused = [&](QueueOptions options, const char* word) {
        const auto result = client_.create("bad", options);
        EXPECT_EQ(result.condition(), Condition::invalid_argument) << word;
        EXPECT_NE(result.error().message().find(word), std::string::npos)
            << result.error().message();
    };
    QueueOptions options;
    options.capacity = 100;
    refused(options, "power of two");
    options = {};
    options.capacity = 32;
    refused(options, "64");
    options = {};
    options.slot_size = 96;
    refused(options, "slot_size");
    options = {};
    options.max_message = std::uint64_t{1} << 40;
    refused(options, "max_message");
    options = {};
    options.lease = std::chrono::nanoseconds(1);
    refused(options, "lease");
    options = {};
    options.overflow = Overflow::drop_oldest;
    options.exclusive_consumer = true;
    refused(options, "exclusive");
    EXPECT_EQ(client_.describe("bad").condition(), Condition::queue_not_found);
}

TEST_F(ClientContract, BadNamesAreRefused) {
    for (const std::string& name :
         {std::string(), std::string(256, 'n'), std::string("a b"), std::string("../x"),
          std::string("/x"), std::string("x/"), std::string("x//y"), std::string("a\nb"),
          std::string("\xff"), std::string("a\0b", 3)}) {
        EXPECT_FALSE(check_queue_name(name).empty()) << name;
        EXPECT_EQ(client_.create(name).condition(), Condition::invalid_argument) << name;
    }
    EXPECT_TRUE(client_.create(std::string(255, 'n')).ok());
    EXPECT_TRUE(client_.create("a/b-c_d.e/9").ok());
}

TEST_F(ClientContract, AKilledConsumersMessagesComeBackMarked) {
    value_or_throw(client_.create("q"));
    auto producer = value_or_throw(client_.producer("q"));
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(producer.send("job " + std::to_string(i)).ok());
    int held[2];
    ASSERT_EQ(::pipe(held), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        auto client = value_or_throw(Client::connect({.socket = daemon_.socket()}));
        auto consumer = value_or_throw(client.consumer("q"));
        std::vector<Message> batch;
        value_or_throw(consumer.receive_batch(batch, 5));
        if (::write(held[1], "x", 1) != 1) std::_Exit(1);
        ::pause();
        std::_Exit(0);
    }
    char byte = 0;
    ASSERT_EQ(::read(held[0], &byte, 1), 1);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    auto consumer = value_or_throw(client_.consumer("q"));
    int marked = 0;
    std::uint32_t failures = 0;
    for (int i = 0; i < 10; ++i) {
        auto message = value_or_throw(consumer.receive_for(seconds(20)));
        if (message.redelivered()) {
            ++marked;
            failures += message.failures();
        }
        EXPECT_TRUE(message.ack().ok());
    }
    EXPECT_EQ(marked, 5);
    EXPECT_EQ(failures, 1u) << "the message in hand is blamed, not the whole batch";
    EXPECT_EQ(value_or_throw(client_.describe("q")).reclaimed, 5u);
    EXPECT_EQ(value_or_throw(client_.status()).deaths, 1u);
}

TEST_F(ClientContract, HandlesInAChildOfForkSaySo) {
    value_or_throw(client_.create("q"));
    auto producer = value_or_throw(client_.producer("q"));
    auto consumer = value_or_throw(client_.consumer("q"));
    ASSERT_TRUE(producer.send("the parent's").ok());
    auto message = value_or_throw(consumer.receive());
    const pid_t pid = ::fork();
    if (pid == 0) {
        const bool refused = producer.send("x").condition() == Condition::forked &&
                             consumer.receive().condition() == Condition::forked &&
                             client_.status().condition() == Condition::forked &&
                             message.extend().condition() == Condition::forked &&
                             !message.still_held();
        { auto taken_down = std::move(message); }
        { auto taken_down = std::move(consumer); }
        { auto taken_down = std::move(producer); }
        auto own = Client::connect({.socket = daemon_.socket()});
        const bool anew = own.ok() && own->producer("q")->send("the child's").ok();
        std::_Exit(refused && anew ? 0 : 1);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(message.still_held());
    EXPECT_TRUE(message.ack().ok());
    EXPECT_EQ(value_or_throw(consumer.receive_for(seconds(20))).text(), "the child's");
}

TEST_F(ClientContract, OverflowRejectsOrDropsTheOldestCounted) {
    QueueOptions options;
    options.capacity = 64;
    options.overflow = Overflow::reject;
    value_or_throw(client_.create("reject", options));
    auto rejecting = value_or_throw(client_.producer("reject"));
    for (int i = 0; i < 64; ++i)
        ASSERT_TRUE(rejecting.send("x").ok());
    EXPECT_EQ(rejecting.send("x").condition(), Condition::full);

    options.overflow = Overflow::drop_oldest;
    value_or_throw(client_.create("drop", options));
    auto dropping = value_or_throw(client_.producer("drop"));
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(dropping.send(std::to_string(i)).ok());
    auto consumer = value_or_throw(client_.consumer("drop"));
    EXPECT_EQ(value_or_throw(consumer.receive()).text(), "36");
    const auto info = value_or_throw(client_.describe("drop"));
    EXPECT_EQ(info.dropped, 36u);
    EXPECT_EQ(info.dropped_oldest, 36u);
}

TEST_F(ClientContract, ListsWhatThereIs) {
    for (const char* name : {"b", "a/1", "c"})
        value_or_throw(client_.create(name));
    const auto queues = value_or_throw(client_.list());
    ASSERT_EQ(queues.size(), 3u);
    EXPECT_EQ(queues[0].name, "a/1");
    EXPECT_EQ(queues[2].name, "c");
    const auto status = value_or_throw(client_.status());
    EXPECT_EQ(status.queues, 3u);
    EXPECT_NE(status.pid, static_cast<std::uint32_t>(daemon_.keeper_pid()));
    EXPECT_EQ(status.restarts, 0u);
    EXPECT_EQ(status.version, version());
}

TEST_F(ClientContract, ListsMoreThanOneFrameHolds) {
    QueueOptions small;
    small.capacity = 64;
    small.max_message = 32;  // no pool
    for (int i = 0; i < 600; ++i)
        value_or_throw(client_.create("many/" + std::to_string(1000 + i), small));
    const auto queues = value_or_throw(client_.list());
    ASSERT_EQ(queues.size(), 600u);
    for (std::size_t i = 0; i < queues.size(); ++i)
        ASSERT_EQ(queues[i].name, "many/" + std::to_string(1000 + i));
}

TEST_F(ClientContract, NoDaemonIsSaidWithARemedy) {
    const auto nobody = Client::connect({.socket = "/tmp/shmq-nobody-listens-here/socket"});
    EXPECT_EQ(nobody.condition(), Condition::no_daemon);
    EXPECT_NE(nobody.error().message().find("shmqd"), std::string::npos);
}

}  // namespace
}  // namespace shmq
