// A client killed and stopped at every system call from connect to detach, and the daemon killed at
// every system call of what it does for one; through the public library and a real daemon.
#include "step/daemon/daemon_step.hpp"

namespace shmq::step {
namespace {

class ClientStepTest : public DaemonStepTest, public testing::WithParamInterface<bool> {};

TEST_P(ClientStepTest, KilledFromConnectToDetach) {
    make_queue(GetParam());
    const std::uint64_t instants = count_instants();
    const auto chosen = choose(instants, quick_clients);
    for (const std::uint64_t instant : chosen) {
        told() = {};
        SystemCalls process([this] { return be_a_client(daemon_->socket()); });
        go_to(process, instant);
        process.kill();
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %zu real kills\n", static_cast<unsigned long long>(instants),
                chosen.size());
}

TEST_P(ClientStepTest, StoppedFromConnectToDetach) {
    const bool exclusive = GetParam();
    make_queue(exclusive);
    const std::uint64_t instants = count_instants();
    const auto chosen = choose(instants, quick_clients);
    for (const std::uint64_t instant : chosen) {
        SCOPED_TRACE(at(instant));
        told() = {};
        SystemCalls process([this] { return be_a_client(daemon_->socket()); });
        go_to(process, instant);
        // Others come and go meanwhile; a role that it holds alone is its own. What they take may
        // be the message it has just sent.
        {
            auto producer = client_->producer(queue_name);
            EXPECT_TRUE(producer || (exclusive && producer.condition() == Condition::role_taken));
            const bool in_use = told().send_began && !told().received;
            EXPECT_TRUE(!producer || in_use || producer->try_send(our_message));
            auto consumer = client_->consumer(queue_name);
            EXPECT_TRUE(consumer || (exclusive && consumer.condition() == Condition::role_taken));
            while (consumer && !in_use) {
                auto message = consumer->try_receive();
                ASSERT_TRUE(message);
                if (!message->has_value()) break;
                EXPECT_EQ((*message)->text(), our_message);
                EXPECT_TRUE((*message)->ack());
            }
        }
        const int status = process.run_to_end();
        EXPECT_EQ(status, 0);
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %zu stops\n", static_cast<unsigned long long>(instants),
                chosen.size());
}

INSTANTIATE_TEST_SUITE_P(Roles, ClientStepTest, testing::Bool(), [](const auto& one) {
    return std::string(one.param ? "Exclusive" : "Shared");
});

TEST_F(DaemonStepTest, DaemonKilledWhileItServesAClient) {
    make_queue(false);
    const std::uint64_t instants = kill_daemon_at(UINT64_MAX);
    check("undisturbed");
    std::uint64_t kills = 0;
    for (const std::uint64_t instant : choose(instants, quick_daemons)) {
        if (kills != 0 && kills % kills_of_one_keeper == 0) {
            renew_daemon();
            make_queue(false);
        }
        kills += kill_daemon_at(instant) == instant ? 1u : 0u;
        check(at(instant));
        if (HasFailure()) break;
    }
    std::printf("%llu instants, %llu daemons killed\n", static_cast<unsigned long long>(instants),
                static_cast<unsigned long long>(kills));
}

}  // namespace
}  // namespace shmq::step
