// Thousands of queues on one daemon: what each costs, and that all of them outlive daemon, keeper,
// or both as far as anybody uses them.
#include <sys/resource.h>

#include <filesystem>

#include "client/session.hpp"
#include "e2e/survivor.hpp"

namespace shmq::daemon::test {
namespace {

std::size_t descriptors_of(pid_t pid) {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        static_cast<void>(entry);
        ++count;
    }
    return count;
}

// Rings and pools that it holds.
std::size_t memories_of(pid_t pid) {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        std::error_code gone;
        const std::string what = std::filesystem::read_symlink(entry.path(), gone);
        if (what.starts_with("/memfd:")) ++count;
    }
    return count;
}

// Of which the kernel has had to find memory, in all rings and pools.
std::size_t shared_memory_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("RssShmem:")) return std::stoul(line.substr(9)) << 10;
    }
    return 0;
}

class ManyQueues : public testing::Test {
  protected:
    static constexpr std::size_t count = 2000;
    static constexpr std::size_t used_count = 50;  // the first ones

    void SetUp() override {
        survivor_.daemon();
        client_ = std::make_unique<shmq::Client>(connect());
        daemon_before_ = descriptors_of(survivor_.daemon());
        keeper_before_ = descriptors_of(survivor_.keeper());
        for (std::size_t number = 0; number < count; ++number)
            value_or_throw(client_->create(name(number)));
    }
    shmq::Client connect() {
        return value_or_throw(shmq::Client::connect({.socket = survivor_.socket()}));
    }
    static std::string name(std::size_t number) { return "many/" + std::to_string(number); }
    // So many more than before there were queues, in both: an answer comes an instant before the
    // daemon has closed its own end of what it sent along.
    void expect_descriptors(std::size_t of_queues) {
        std::size_t daemon = 0;
        std::size_t keeper = 0;
        EXPECT_TRUE(eventually([&] {
            daemon = descriptors_of(survivor_.daemon()) - daemon_before_;
            keeper = descriptors_of(survivor_.keeper()) - keeper_before_;
            return daemon == of_queues && keeper == of_queues;
        })) << daemon
            << " in the daemon, " << keeper << " in the keeper";
    }
    // Messages that need the pool and messages that do not.
    void use_some() {
        for (std::size_t number = 0; number < used_count; ++number) {
            auto producer = value_or_throw(client_->producer(name(number)));
            value_or_throw(producer.send("small " + std::to_string(number)));
            value_or_throw(producer.send(std::string(5000, 'x') + std::to_string(number)));
        }
    }
    void expect_all_there() {
        EXPECT_EQ(value_or_throw(client_->list()).size(), count);
        for (const std::size_t number : {std::size_t{0}, used_count - 1}) {
            auto consumer = value_or_throw(client_->consumer(name(number)));
            std::vector<Message> held;  // and given back, for the next look
            for (const std::string& wanted : {"small " + std::to_string(number),
                                              std::string(5000, 'x') + std::to_string(number)}) {
                auto message = value_or_throw(consumer.try_receive());
                ASSERT_TRUE(message.has_value());
                EXPECT_EQ(message->text(), wanted);
                held.push_back(std::move(*message));
            }
        }
        // One that nobody has used can be used now.
        const std::string fresh = name(count - 1 - uses_++);
        auto producer = value_or_throw(client_->producer(fresh));
        value_or_throw(producer.send(std::string(5000, 'y')));
        auto consumer = value_or_throw(client_->consumer(fresh));
        EXPECT_EQ(value_or_throw(consumer.receive()).text(), std::string(5000, 'y'));
    }

    TemporaryDirectory directory_;
    Survivor survivor_{directory_};
    std::unique_ptr<shmq::Client> client_;
    std::size_t daemon_before_ = 0;
    std::size_t keeper_before_ = 0;
    std::size_t uses_ = 0;
};

TEST_F(ManyQueues, each_is_one_descriptor_and_hardly_any_memory_until_it_is_used) {
    expect_descriptors(count);
    // A look at all of them costs nothing either.
    EXPECT_EQ(value_or_throw(client_->list()).size(), count);
    EXPECT_FALSE(value_or_throw(SessionAccess::of(*client_)->metrics()).empty());
    EXPECT_LE(shared_memory_of(survivor_.daemon()), count * 8192);
    use_some();
    expect_descriptors(count + used_count);
    for (std::size_t number = 0; number < count; ++number)
        value_or_throw(client_->remove(name(number), true));
    expect_descriptors(0);
}

TEST_F(ManyQueues, all_outlive_the_daemon_and_the_keeper) {
    use_some();
    survivor_.kill_daemon();
    expect_all_there();
    EXPECT_LE(shared_memory_of(survivor_.daemon()),
              (count - used_count - 1) * 8192 + (used_count + 1) * (std::size_t{1} << 20))
        << "a successor has looked through what nobody has used";
    const pid_t keeper = survivor_.keeper();
    ::kill(keeper, SIGKILL);
    EXPECT_GT(survivor_.keeper(keeper), 0) << survivor_.log();
    // It has to be told everything before it is of use: what it was not is lost with the daemon.
    const std::size_t all = memories_of(survivor_.daemon());
    EXPECT_GT(all, count + used_count);
    EXPECT_TRUE(eventually([&] { return memories_of(survivor_.keeper()) == all; }));
    survivor_.kill_daemon();
    expect_all_there();
    EXPECT_EQ(value_or_throw(client_->status()).adopted, count);
}

// Of those that nobody has open nothing is left.
TEST_F(ManyQueues, both_killed_those_in_use_come_back) {
    use_some();
    std::vector<Producer> open;
    for (std::size_t number = 0; number < used_count; ++number)
        open.push_back(value_or_throw(client_->producer(name(number))));
    auto unused_before = value_or_throw(client_->consumer(name(count - 1)));
    survivor_.kill_both();
    survivor_.start();
    EXPECT_TRUE(eventually([&] {
        const auto listed = client_->list();
        return listed.ok() && listed->size() == used_count + 1;
    })) << survivor_.log();
    for (std::size_t number = 0; number < used_count; ++number)
        EXPECT_EQ(value_or_throw(client_->describe(name(number))).ready, 2u);
    value_or_throw(open.front().send(std::string(5000, 'z')));
    survivor_.kill_daemon();
    EXPECT_EQ(value_or_throw(client_->describe(name(0))).ready, 3u);
}

}  // namespace
}  // namespace shmq::daemon::test
