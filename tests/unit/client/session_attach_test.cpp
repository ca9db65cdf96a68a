// Attach and Detach over the wire: what arrives is mapped, and what cannot be used is given back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "client/session.hpp"
#include "unit/client/fake_daemon.hpp"

namespace shmq {
namespace {

using wire::Json;
namespace method = wire::method;

constexpr std::uint16_t participant = 7;

class SessionAttachTest : public ::testing::Test {
  protected:
    void SetUp() override {
        shm::Shape shape{};
        shape.capacity = 64;
        shape.max_message = 4096;
        shape = shm::with_defaults(shape);
        const std::uint8_t identity[16] = {1, 2, 3};
        shm::AttachFailure failure;
        segment_ = shm::Segment::create(shape, identity, failure);
        ASSERT_NE(segment_, nullptr) << failure.detail;
        ASSERT_TRUE(segment_->create_pool(failure)) << failure.detail;
        daemon_.on(method::detach, [](const wire::Call&, wire::Frame&) {
            return FakeDaemon::answer(Json::object());
        });
        answer_attach(good_answer());
        session_ = connect(std::chrono::seconds(30));
        ASSERT_NE(session_, nullptr);
    }

    std::shared_ptr<Session> connect(std::chrono::milliseconds timeout) {
        ConnectOptions options;
        options.socket = daemon_.socket();
        options.timeout = timeout;
        auto session = Session::connect(options);
        EXPECT_TRUE(session) << session.error().message();
        return session ? *session : nullptr;
    }
    static Json good_answer() {
        return {{"participant", participant},
                {"exclusive", true},
                {"in_flight", 9},
                {"ring", 0},
                {"pool", 1}};
    }
    std::vector<Fd> good_descriptors() const {
        std::vector<Fd> descriptors;
        descriptors.emplace_back(::fcntl(segment_->ring_fd(), F_DUPFD_CLOEXEC, 0));
        descriptors.emplace_back(::fcntl(segment_->pool_fd(), F_DUPFD_CLOEXEC, 0));
        return descriptors;
    }
    void answer_attach(const Json& parameters) {
        daemon_.on(method::attach, [this, parameters](const wire::Call&, wire::Frame&) {
            return FakeDaemon::answer(parameters, good_descriptors());
        });
    }
    std::vector<Json> detached() const {
        std::vector<Json> numbers;
        for (const wire::Call& call : daemon_.calls(method::detach)) {
            numbers.push_back(call.parameters);
        }
        return numbers;
    }
    static std::vector<Json> once() {
        return {Json{{"name", "jobs"}, {"participant", participant}}};
    }
    void expect_attach_fails(Condition condition, const std::string& part) {
        const auto attachment = session_->attach("jobs", shm::Role::consumer);
        ASSERT_FALSE(attachment);
        EXPECT_EQ(attachment.condition(), condition) << attachment.error().message();
        for (const std::string& wanted : {part, std::string("'jobs'")}) {
            EXPECT_NE(attachment.error().message().find(wanted), std::string::npos)
                << attachment.error().message();
        }
    }

    FakeDaemon daemon_;
    std::unique_ptr<shm::Segment> segment_;
    std::shared_ptr<Session> session_;
};

TEST_F(SessionAttachTest, MapsWhatTheDaemonHandsOut) {
    const auto attachment = session_->attach("jobs", shm::Role::consumer, 5);
    ASSERT_TRUE(attachment) << attachment.error().message();
    EXPECT_EQ(attachment->number, participant);
    EXPECT_TRUE(attachment->exclusive);
    EXPECT_EQ(attachment->in_flight, 9u);
    EXPECT_EQ(attachment->segment->access(), shm::Access::consumer);
    EXPECT_EQ(attachment->segment->geometry().shape.capacity, 64u);
    EXPECT_NE(attachment->segment->pool_base(), nullptr);
    EXPECT_EQ(daemon_.calls(method::attach).at(0).parameters,
              (Json{{"name", "jobs"}, {"role", "consumer"}, {"in_flight", 5}}));

    const auto producer = session_->attach("jobs", shm::Role::producer);
    ASSERT_TRUE(producer);
    EXPECT_EQ(producer->segment->access(), shm::Access::producer);
    EXPECT_EQ(daemon_.calls(method::attach).at(1).parameters,
              (Json{{"name", "jobs"}, {"role", "producer"}}));
}

TEST_F(SessionAttachTest, DetachGivesTheNumberBackOnce) {
    ASSERT_TRUE(session_->attach("jobs", shm::Role::consumer));
    EXPECT_TRUE(session_->detach("jobs", participant));
    EXPECT_EQ(detached(), once());
    EXPECT_TRUE(session_->detach("jobs", participant));
    EXPECT_TRUE(session_->detach("jobs", participant + 1));
    EXPECT_TRUE(session_->detach("other", participant));
    EXPECT_EQ(detached(), once()) << "numbers that are not ours must not travel";
}

TEST_F(SessionAttachTest, ANumberOfALostConnectionIsNotDetachedOnTheNext) {
    ASSERT_TRUE(session_->attach("jobs", shm::Role::consumer));
    std::atomic<int> hang_ups{1};
    daemon_.on(method::list, [&](const wire::Call&, wire::Frame&) {
        if (hang_ups-- > 0) return FakeDaemon::hang_up();
        return FakeDaemon::answer({{"queues", Json::array()}});
    });
    ASSERT_TRUE(session_->list());
    ASSERT_EQ(daemon_.calls(method::hello).size(), 2u) << "there is no next connection";
    EXPECT_TRUE(session_->detach("jobs", participant));
    EXPECT_TRUE(detached().empty());
}

TEST_F(SessionAttachTest, AnObserverIsNoParticipant) {
    Json answer = good_answer();
    answer["participant"] = 0;
    answer_attach(answer);
    const auto attachment = session_->observe("jobs");
    ASSERT_TRUE(attachment) << attachment.error().message();
    EXPECT_EQ(attachment->number, 0);
    EXPECT_EQ(attachment->segment->access(), shm::Access::observer);
    EXPECT_EQ(daemon_.calls(method::attach).at(0).parameters["role"], "observer");
}

TEST_F(SessionAttachTest, MissingDescriptorsAreAProtocolErrorAndGivenBack) {
    Json answer = good_answer();
    answer["ring"] = 5;
    answer_attach(answer);
    expect_attach_fails(Condition::protocol_error, "ring");
    EXPECT_EQ(detached(), once());

    answer = good_answer();
    answer["pool"] = 0;  // the ring's own
    answer_attach(answer);
    expect_attach_fails(Condition::protocol_error, "pool");

    answer = good_answer();
    answer.erase("ring");
    answer_attach(answer);
    expect_attach_fails(Condition::protocol_error, "ring");
}

TEST_F(SessionAttachTest, ANumberThatNoParticipantHasIsAProtocolError) {
    for (const int number : {0, 1024, 65535}) {
        Json answer = good_answer();
        answer["participant"] = number;
        answer_attach(answer);
        expect_attach_fails(Condition::protocol_error, "participant");
    }
}

TEST_F(SessionAttachTest, WhatIsNoSegmentIsCorruptAndGivenBack) {
    daemon_.on(method::attach, [](const wire::Call&, wire::Frame&) {
        std::vector<Fd> descriptors;
        for (int index = 0; index < 2; ++index) {
            Fd memory(::memfd_create("no segment", MFD_CLOEXEC));
            EXPECT_EQ(::ftruncate(memory.get(), 1 << 20), 0);
            descriptors.push_back(std::move(memory));
        }
        return FakeDaemon::answer(good_answer(), std::move(descriptors));
    });
    expect_attach_fails(Condition::corrupt, "segment");
    EXPECT_EQ(detached(), once());
}

TEST_F(SessionAttachTest, ASegmentOfAnotherVersionIsIncompatible) {
    segment_->header().version = shm::segment_version + 1;
    expect_attach_fails(Condition::incompatible, std::to_string(shm::segment_version + 1));
    EXPECT_EQ(detached(), once());
}

TEST_F(SessionAttachTest, ASegmentThatBecomesReadyIsWaitedFor) {
    segment_->header().ready.store(0, shm::memory_order_relaxed);
    Gate looking;
    std::thread finisher([&] {
        EXPECT_TRUE(looking.wait());
        segment_->header().ready.store(1, shm::memory_order_release);
    });
    daemon_.on(method::attach, [&](const wire::Call&, wire::Frame&) {
        looking.open();
        return FakeDaemon::answer(good_answer(), good_descriptors());
    });
    const auto attachment = session_->attach("jobs", shm::Role::consumer);
    finisher.join();
    EXPECT_TRUE(attachment) << attachment.error().message();
}

TEST_F(SessionAttachTest, ALateAttachmentIsGivenBack) {
    Gate gate;
    daemon_.on(method::attach, [&](const wire::Call&, wire::Frame&) {
        EXPECT_TRUE(gate.wait());
        return FakeDaemon::answer(good_answer(), good_descriptors());
    });
    daemon_.on(method::purge, [](const wire::Call&, wire::Frame&) {
        return FakeDaemon::answer({{"purged", 0}});
    });
    session_.reset();  // the fake serves one session at a time
    const auto impatient = connect(std::chrono::milliseconds(200));
    ASSERT_NE(impatient, nullptr);
    EXPECT_EQ(impatient->attach("jobs", shm::Role::consumer).condition(), Condition::timed_out);
    EXPECT_TRUE(detached().empty());
    gate.open();
    auto purged = impatient->purge("jobs");
    for (int round = 0; round < 100 && purged.condition() == Condition::timed_out; ++round) {
        purged = impatient->purge("jobs");
    }
    ASSERT_TRUE(purged) << purged.error().message();
    EXPECT_EQ(detached(), once());
}

}  // namespace
}  // namespace shmq
