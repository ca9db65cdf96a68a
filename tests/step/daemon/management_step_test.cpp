// The daemon killed at every system call of what it does to make a queue, to change it, to remove
// it, at its first use, and at a move to the dead letters.
#include "step/daemon/daemon_step.hpp"

namespace shmq::step {
namespace {

// Asks until it is so. 0: it is.
int make_the_queue(const std::string& socket) {
    return eventually([&] {
        auto client = Client::connect(options_for(socket));
        QueueOptions options;
        options.capacity = 64;
        return client && client->declare(queue_name, options);
    })
               ? 0
               : 1;
}

int remove_the_queue(const std::string& socket) {
    return eventually([&] {
        auto client = Client::connect(options_for(socket));
        if (!client) return false;
        const auto removed = client->remove(queue_name, true);
        return removed || removed.condition() == Condition::queue_not_found;
    })
               ? 0
               : 1;
}

std::string large_message() {
    return std::string(50'000, 'l');
}

int use_the_pool(const std::string& socket) {
    auto client = Client::connect(options_for(socket));
    if (!client) return 1;
    auto producer = client->producer(queue_name);
    if (!producer) return 2;
    return producer->send(large_message()) ? 0 : 3;
}

constexpr auto its_lease = 7s;

int edit_the_queue(const std::string& socket) {
    return eventually([&] {
        auto client = Client::connect(options_for(socket));
        QueueChanges changes;
        changes.lease = its_lease;
        return client && client->edit(queue_name, changes);
    })
               ? 0
               : 1;
}

int reject_a_message(const std::string& socket) {
    auto client = Client::connect(options_for(socket));
    if (!client) return 1;
    auto producer = client->producer(queue_name);
    if (!producer || !producer->send(its_message)) return 2;
    auto consumer = client->consumer(queue_name);
    if (!consumer) return 3;
    auto message = consumer->receive();
    if (!message || message->text() != its_message) return 4;
    if (!message->reject()) return 5;
    return 0;
}

// How many shared memories that process has open.
std::size_t memories_of(pid_t process) {
    std::size_t found = 0;
    std::error_code failed;
    const std::filesystem::path descriptors = "/proc/" + std::to_string(process) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(descriptors, failed)) {
        const auto target = std::filesystem::read_symlink(entry.path(), failed).string();
        found += target.starts_with("/memfd:") ? 1u : 0u;
    }
    return found;
}

class ManagementStepTest : public DaemonStepTest {
  protected:
    // Kills the daemon at each instant (or some) of what it does for `body`; `prepare` before,
    // `check` after each. Keeper and daemon have as many memories open at the end as before.
    void kill_everywhere(Body body, const std::function<void()>& prepare,
                         const std::function<void()>& check) {
        // No queue is there yet; after each check, again. What the daemon has its keeper gets.
        Memories before{};
        ASSERT_TRUE(eventually([&] {
            before = memories();
            return before.keeper == before.daemon && before.daemon > 0;
        })) << before.keeper
            << " memories in the keeper, " << before.daemon << " in the daemon";
        prepare();
        const std::uint64_t instants = kill_daemon_at(UINT64_MAX, body);
        check();
        std::uint64_t kills = 0;
        for (const std::uint64_t instant : choose(instants, quick_daemons)) {
            SCOPED_TRACE(at(instant));
            if (kills_of_this_keeper_ >= kills_of_one_keeper) {
                renew_daemon();
                kills_of_this_keeper_ = 0;
            }
            prepare();
            const bool killed = kill_daemon_at(instant, body) == instant;
            kills += killed ? 1u : 0u;
            kills_of_this_keeper_ += killed ? 1u : 0u;
            check();
            Memories after{};
            EXPECT_TRUE(eventually([&] { return (after = memories()) == before; }))
                << after.keeper << " memories in the keeper and " << after.daemon
                << " in the daemon; were " << before.keeper << " and " << before.daemon;
            if (HasFailure()) break;
        }
        std::printf("%llu instants, %llu daemons killed\n",
                    static_cast<unsigned long long>(instants),
                    static_cast<unsigned long long>(kills));
    }

    // And waits for its successor.
    void kill_daemon() {
        const auto before = client_->status();
        ASSERT_TRUE(before);
        ::kill(static_cast<pid_t>(before->pid), SIGKILL);
        kills_of_this_keeper_ += 1;
        EXPECT_TRUE(eventually([&] {
            const auto now = client_->status();
            return now && now->pid != before->pid;
        }));
    }
    std::size_t queues_named(const std::string& name) {
        std::size_t found = 0;
        EXPECT_TRUE(eventually([&] {
            const auto listed = client_->list();
            if (!listed) return false;
            found = 0;
            for (const QueueInfo& info : *listed)
                found += info.name == name ? 1u : 0u;
            return true;
        }));
        return found;
    }
    void remove(const std::string& name) {
        EXPECT_TRUE(eventually([&] {
            const auto removed = client_->remove(name, true);
            return removed || removed.condition() == Condition::queue_not_found;
        })) << name;
    }

  private:
    std::uint64_t kills_of_this_keeper_ = 0;
    struct Memories {
        std::size_t keeper, daemon;
        bool operator==(const Memories&) const = default;
    };
    Memories memories() {
        Memories found{memories_of(daemon_->keeper_pid()), 0};
        const auto status = client_->status();
        if (status) found.daemon = memories_of(static_cast<pid_t>(status->pid));
        return found;
    }
};

// Whoever does not know whether it made the queue asks again, and there is one.
TEST_F(ManagementStepTest, DaemonKilledWhileItMakesAQueue) {
    kill_everywhere(
        make_the_queue, [] {},
        [&] {
            EXPECT_EQ(queues_named(queue_name), 1u);
            told() = {};
            expect_no_participant_left();
            expect_books(told());
            remove(queue_name);
            EXPECT_EQ(queues_named(queue_name), 0u);
        });
}

TEST_F(ManagementStepTest, DaemonKilledWhileItRemovesAQueue) {
    kill_everywhere(
        remove_the_queue,
        [&] {
            make_queue(false);
            auto producer = client_->producer(queue_name);
            ASSERT_TRUE(producer && producer->send("goes with it"));
        },
        [&] {
            EXPECT_EQ(queues_named(queue_name), 0u);
            make_queue(false);  // another of that name has nothing of it
            told() = {};
            expect_books(told());
            remove(queue_name);
        });
}

// Its pool is made for the first who attaches.
TEST_F(ManagementStepTest, DaemonKilledWhileAQueueIsFirstUsed) {
    kill_everywhere(
        use_the_pool, [&] { make_queue(false); },
        [&] {
            expect_no_participant_left();
            {
                auto consumer = client_->consumer(queue_name);
                ASSERT_TRUE(consumer) << consumer.error().message();
                auto message = consumer->try_receive();
                ASSERT_TRUE(message && message->has_value());
                EXPECT_EQ((*message)->text(), large_message());
                EXPECT_TRUE((*message)->ack());
            }
            told() = {};
            expect_books(told());
            remove(queue_name);
        });
}

// As it is after the edit it stays, for whichever daemon comes next.
TEST_F(ManagementStepTest, DaemonKilledWhileItChangesAQueue) {
    kill_everywhere(
        edit_the_queue, [&] { make_queue(false); },
        [&] {
            for (const bool next_daemon : {false, true}) {
                if (next_daemon) kill_daemon();
                std::optional<QueueInfo> info;
                EXPECT_TRUE(eventually([&] {
                    auto described = client_->describe(queue_name);
                    if (described) info = *described;
                    return info.has_value();
                }));
                EXPECT_TRUE(info && info->options.lease == its_lease);
            }
            told() = {};
            expect_books(told());
            remove(queue_name);
        });
}

// The dead-letter queue is made when the first letter comes, by whichever daemon that is. That of a
// durable queue takes it by its log.
class MoveStepTest : public ManagementStepTest, public testing::WithParamInterface<Durability> {};
INSTANTIATE_TEST_SUITE_P(Durabilities, MoveStepTest,
                         testing::Values(Durability::accepted, Durability::logged,
                                         Durability::durable));

TEST_P(MoveStepTest, DaemonKilledWhileItMovesARejectedMessage) {
    const std::string dead_name = std::string(queue_name) + ".dlq";
    kill_everywhere(
        reject_a_message, [&] { make_queue(false, GetParam()); },
        [&] {
            expect_no_participant_left();
            EXPECT_TRUE(eventually([&] {
                const auto dead = client_->describe(dead_name);
                return dead && dead->ready + dead->returned == 1;
            })) << "it is not among the dead letters";
            EXPECT_TRUE(eventually([&] {
                const auto left = client_->describe(queue_name);
                return left && left->ready + left->leased + left->returned + left->held == 0 &&
                       left->dead_lettered == 1;
            })) << "it is in its source, too";
            {
                auto consumer = client_->consumer(dead_name);
                ASSERT_TRUE(consumer) << consumer.error().message();
                std::optional<Message> message;
                ASSERT_TRUE(eventually([&] {
                    auto received = consumer->try_receive();
                    if (received && received->has_value()) message = std::move(**received);
                    return message.has_value();
                }));
                EXPECT_EQ(message->text(), its_message);
                EXPECT_TRUE(message->redelivered());
                const auto history = message->history();
                ASSERT_TRUE(history);
                EXPECT_EQ(history->reason, "rejected");
                EXPECT_EQ(history->source, queue_name);
                EXPECT_TRUE(message->ack());
                auto another = consumer->try_receive();
                EXPECT_TRUE(another && !another->has_value()) << "it came twice";
            }
            remove(queue_name);
            remove(dead_name);
        });
}

}  // namespace
}  // namespace shmq::step
