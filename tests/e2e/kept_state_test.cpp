// What a daemon leaves that was killed in the middle of making, changing or removing a queue, or a
// keeper that was told half: each state built by hand from a whole one, and given to a successor.
#include <sys/mman.h>

#include "daemon/definition.hpp"
#include "e2e/fake_manager.hpp"

namespace shmq::daemon::test {
namespace {

namespace error = wire::error;
namespace method = wire::method;
using wire::Json;

// The number that the memory of that queue is kept under.
CatalogueEntry entry_of(const FakeManager& manager, const std::string& name) {
    for (CatalogueEntry& entry : manager.catalogue()) {
        if (Json::parse(entry.text)["name"] == name) return std::move(entry);
    }
    ADD_FAILURE() << "no entry of " << name;
    return {};
}

class KeptState : public testing::Test {
  protected:
    // `used` with five messages, and `idle`, that nobody has used.
    void SetUp() override {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers()) << daemon.log();
        GreetedClient client(daemon.socket());
        EXPECT_EQ(client.create("used").error, "");
        EXPECT_EQ(client.create("idle").error, "");
        send_messages(client, "used", 5);
        EXPECT_TRUE(manager_.comes_to(
            [&] { return manager_.count(kept::ring) == 2 && manager_.count(kept::pool) == 1; }));
        daemon.stop(SIGKILL);
        manager_.take();
        used_ = entry_of(manager_, "used");
        idle_ = entry_of(manager_, "idle");
        catalogue_ = manager_.kept.at(std::string(kept::catalogue)).duplicate();
    }
    std::string ring(const CatalogueEntry& entry) const {
        return kept_name(kept::ring, entry.memory);
    }
    std::string pool(const CatalogueEntry& entry) const {
        return kept_name(kept::pool, entry.memory);
    }
    // The catalogue that was left, to be changed as the daemon would have changed it.
    Catalogue write() {
        Catalogue catalogue;
        std::vector<CatalogueEntry> entries;
        EXPECT_TRUE(catalogue.adopt(catalogue_.duplicate(), entries));
        return catalogue;
    }
    // What a successor has, and that nothing is kept for nobody.
    void expect(std::vector<std::string> names, std::size_t pools) {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers()) << daemon.log();
        GreetedClient client(daemon.socket());
        const Json queues = client.call(method::list).parameters["queues"];
        std::vector<std::string> found;
        for (const Json& queue : queues)
            found.push_back(queue["name"]);
        EXPECT_EQ(found, names) << daemon.log();
        for (const std::string& name : names)
            EXPECT_EQ(client.describe(name)["ready"], name == "used" ? 5 : 0);
        const auto as_many = [&](std::size_t rings, std::size_t all_pools) {
            return manager_.comes_to([&] {
                return manager_.count(kept::ring) == rings &&
                       manager_.count(kept::pool) == all_pools &&
                       manager_.catalogue().size() == rings;
            });
        };
        EXPECT_TRUE(as_many(names.size(), pools))
            << manager_.count(kept::ring) << " rings, " << manager_.count(kept::pool) << " pools, "
            << manager_.catalogue().size() << " entries\n"
            << daemon.log();
        // All can be used, and others made in the place of those that are gone.
        for (const std::string& name : {std::string("idle"), std::string("used")}) {
            EXPECT_TRUE(eventually([&] {
                const std::string failed = client.create(name).error;
                return failed.empty() || failed == error::queue_exists;
            }));
            send_messages(client, name, 1);
        }
        EXPECT_TRUE(as_many(2, 2));
        daemon.stop(SIGKILL);
    }

    TemporaryDirectory directory_;
    FakeManager manager_{directory_};
    CatalogueEntry used_;
    CatalogueEntry idle_;
    Fd catalogue_;
};

TEST_F(KeptState, whole) {
    expect({"idle", "used"}, 1);
}

TEST_F(KeptState, a_queue_that_needs_no_pool) {
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        GreetedClient client(daemon.socket());
        EXPECT_EQ(client.create("tiny", {{"max_message", 16}}).error, "");
        send_messages(client, "tiny", 3);
        EXPECT_TRUE(manager_.comes_to([&] { return manager_.count(kept::ring) == 3; }));
        daemon.stop(SIGKILL);
        manager_.take();
    }
    DaemonProcess daemon(directory_, {}, manager_.environment());
    ASSERT_TRUE(daemon.answers()) << daemon.log();
    GreetedClient client(daemon.socket());
    EXPECT_EQ(client.describe("tiny")["ready"], 3);
    send_messages(client, "tiny", 1);
    EXPECT_EQ(client.describe("tiny")["ready"], 4);
    EXPECT_EQ(manager_.count(kept::pool), 1u);
    daemon.stop(SIGKILL);
}

TEST_F(KeptState, a_ring_without_an_entry_is_let_go_of) {
    write().erase(idle_.place);
    expect({"used"}, 1);
}

TEST_F(KeptState, a_ring_and_a_pool_without_an_entry_are_let_go_of) {
    write().erase(used_.place);
    expect({"idle"}, 0);
}

TEST_F(KeptState, an_entry_without_a_ring_is_erased_and_its_users_are_waited_for) {
    manager_.kept.erase(ring(idle_));
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        EXPECT_EQ(GreetedClient(daemon.socket()).create("idle").error, error::recovering)
            << "an empty one in its place";
        daemon.stop(SIGKILL);
        manager_.take();
    }
    expect({"used"}, 1);
}

TEST_F(KeptState, an_entry_without_the_pool_that_it_names_is_erased) {
    manager_.kept.erase(pool(used_));
    expect({"idle"}, 0);
}

TEST_F(KeptState, memory_of_another_queue_is_not_taken) {
    std::swap(manager_.kept.at(ring(used_)), manager_.kept.at(ring(idle_)));
    expect({}, 0);
}

TEST_F(KeptState, a_pool_that_no_entry_names_is_let_go_of) {
    manager_.kept[pool(idle_)] = manager_.kept.at(pool(used_)).duplicate();
    expect({"idle", "used"}, 1);
}

TEST_F(KeptState, of_two_entries_of_a_queue_the_later_holds) {
    for (const bool is_changed : {true, false}) {
        Json changed = Json::parse(used_.text);
        changed["options"]["lease"] = is_changed ? 7'000'000'000 : 8'000'000'000;
        write().add(used_.memory, changed.dump());
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        const Json used = GreetedClient(daemon.socket()).describe("used");
        EXPECT_EQ(used["options"]["lease"], changed["options"]["lease"]);
        EXPECT_EQ(used["ready"], 5);
        EXPECT_EQ(manager_.catalogue().size(), 2u);
        daemon.stop(SIGKILL);
        manager_.take();
    }
    expect({"idle", "used"}, 1);
}

TEST_F(KeptState, an_entry_half_written_is_none) {
    for (const std::size_t length : {std::size_t{4}, sizeof(CatalogueHead), std::size_t{300}}) {
        Catalogue catalogue = write();
        Json changed = Json::parse(used_.text);
        changed["options"]["lease"] = 7'000'000'000;
        const std::uint32_t place = catalogue.add(used_.memory, changed.dump());
        const std::string zeros(catalogue_place_bytes - length, '\0');
        ASSERT_GT(::pwrite(catalogue_.get(), zeros.data(), zeros.size(),
                           catalogue_offset(place) + static_cast<off_t>(length)),
                  0);
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        EXPECT_EQ(GreetedClient(daemon.socket()).describe("used")["options"]["lease"],
                  Json::parse(used_.text)["options"]["lease"]);
        daemon.stop(SIGKILL);
        manager_.take();
    }
    expect({"idle", "used"}, 1);
}

// Whatever it is that another version left, this one does not touch it.
TEST_F(KeptState, queues_with_another_catalogue_or_with_none_are_refused) {
    Fd& place = manager_.kept.at(std::string(kept::catalogue));
    const std::uint64_t magic = 1;
    Fd other(::memfd_create("other", MFD_CLOEXEC));
    ASSERT_EQ(::pwrite(other.get(), &magic, sizeof magic, 0), 8);
    place = std::move(other);
    for (const bool with_another : {true, false}) {
        if (!with_another) manager_.kept.erase(std::string(kept::catalogue));
        const std::size_t kept = manager_.kept.size();
        DaemonProcess daemon(directory_, {}, manager_.environment());
        EXPECT_EQ(daemon.wait(), 1);
        EXPECT_NE(daemon.log().find("another version made them"), std::string::npos)
            << daemon.log();
        manager_.take();
        EXPECT_EQ(manager_.kept.size(), kept);
    }
    manager_.kept[std::string(kept::catalogue)] = catalogue_.duplicate();
    expect({"idle", "used"}, 1);
}

}  // namespace
}  // namespace shmq::daemon::test
