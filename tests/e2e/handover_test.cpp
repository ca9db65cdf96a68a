// What one daemon leaves for the next, seen from outside: a service manager that keeps descriptors,
// definitions of another format, and definitions that are not a daemon's.
#include <grp.h>
#include <sys/mman.h>

#include <map>

#include "daemon/catalogue.hpp"
#include "daemon/definition.hpp"
#include "e2e/fake_manager.hpp"
#include "shm/layout.hpp"

namespace shmq::daemon::test {
namespace {

namespace error = wire::error;
namespace method = wire::method;
using wire::Json;

class Handover : public testing::Test {
  protected:
    TemporaryDirectory directory_;
    FakeManager manager_{directory_};
};

TEST_F(Handover, a_service_manager_keeps_queues_from_one_daemon_to_the_next) {
    Json before;
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers()) << daemon.log();
        GreetedClient client(daemon.socket());
        EXPECT_EQ(client.create("q", {{"mode", 0750}, {"lease", 5'000'000'000}}).error, "");
        EXPECT_EQ(client.create("gone").error, "");
        send_messages(client, "q", 5);
        Attached attached(client, "q", "consumer");
        EXPECT_TRUE(manager_.comes_to([&] {
            return manager_.ready == 1 && manager_.count(kept::ring) == 2 &&
                   manager_.count(kept::process) == 1;
        }));
        EXPECT_EQ(manager_.count(kept::pool), 1u) << "of the one that is used";
        EXPECT_EQ(manager_.catalogue().size(), 2u);
        EXPECT_EQ(client.call(method::remove, {{"name", "gone"}}).error, "");
        EXPECT_TRUE(manager_.comes_to([&] { return manager_.count(kept::ring) == 1; }));
        EXPECT_EQ(manager_.count(kept::pool), 1u);
        EXPECT_EQ(manager_.catalogue().size(), 1u);
        before = client.describe("q");
        daemon.stop(SIGKILL);
    }
    for (const int end : {SIGTERM, SIGKILL}) {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers()) << daemon.log();
        GreetedClient client(daemon.socket());
        const Json after = client.describe("q");
        EXPECT_EQ(after["options"], before["options"]);
        EXPECT_EQ(after["identity"], before["identity"]);
        EXPECT_EQ(after["ready"], 5);
        EXPECT_EQ(after["sent"], 5);
        const int stopped = manager_.stopping;
        daemon.stop(end);
        manager_.take();
        EXPECT_EQ(manager_.stopping, stopped + (end == SIGTERM ? 1 : 0));
        // A restart in order is SIGTERM and another start: the store must outlive that as well.
        EXPECT_EQ(manager_.count(kept::ring), 1u);
        EXPECT_EQ(manager_.catalogue().size(), 1u);
        EXPECT_EQ(manager_.kept.contains("listener"), end == SIGKILL);
    }
}

// Both have the lock that was kept. Two supervisors of one queue would give messages out twice.
TEST_F(Handover, of_two_successors_one_works) {
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        EXPECT_TRUE(manager_.comes_to([&] { return manager_.kept.contains("lock"); }));
        daemon.stop(SIGKILL);
    }
    DaemonProcess first(directory_, {}, manager_.environment());
    ASSERT_TRUE(first.answers());
    DaemonProcess second(directory_, {}, manager_.environment());
    EXPECT_EQ(second.wait(), 1);
    EXPECT_NE(second.log().find("another shmqd (pid " + std::to_string(first.pid()) + ")"),
              std::string::npos)
        << second.log();
    EXPECT_TRUE(first.answers());
}

Fd sealed_memfd(const std::string& text, int seals) {
    Fd fd(::memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
}
constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Json read_json(const Fd& fd) {
    std::string text(10'000, '\0');
    text.resize(static_cast<std::size_t>(::pread(fd.get(), text.data(), text.size(), 0)));
    return Json::parse(text);
}

TEST_F(Handover, another_format_is_refused_with_both_versions_and_nothing_is_let_go_of) {
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        ASSERT_TRUE(daemon.answers());
        GreetedClient client(daemon.socket());
        EXPECT_EQ(client.create("q").error, "");
        send_messages(client, "q", 3);
        EXPECT_TRUE(manager_.comes_to([&] { return manager_.count(kept::pool) == 1; }));
        daemon.stop(SIGKILL);
        manager_.take();
    }
    Fd& place = manager_.kept[std::string(kept::catalogue)];
    Fd ours = place.duplicate();
    ASSERT_EQ(manager_.catalogue().size(), 1u);
    Json other = Json::parse(manager_.catalogue().front().text);
    other["segment_version"] = 99;
    other["written_by"] = "9.8.7";
    Catalogue theirs;
    ASSERT_TRUE(theirs.create());
    ASSERT_NE(theirs.add(manager_.catalogue().front().memory, other.dump()), 0u);
    place = Fd(::fcntl(theirs.fd(), F_DUPFD_CLOEXEC, 0));
    const std::size_t kept = manager_.kept.size();
    {
        DaemonProcess daemon(directory_, {}, manager_.environment());
        EXPECT_EQ(daemon.wait(), 1);
        for (const std::string& part : {std::string("shmqd 9.8.7"), std::string("format 99/"),
                                        std::string("shmqd ") + version_text(),
                                        "format " + std::to_string(shm::segment_version) + "/"}) {
            EXPECT_NE(daemon.log().find(part), std::string::npos) << part << "\n" << daemon.log();
        }
    }
    manager_.take();
    EXPECT_EQ(manager_.kept.size(), kept);
    place = std::move(ours);
    DaemonProcess daemon(directory_, {}, manager_.environment());
    ASSERT_TRUE(daemon.answers()) << daemon.log();
    EXPECT_EQ(GreetedClient(daemon.socket()).describe("q")["ready"], 3);
}

// ---- What clients bring -----------------------------------------------------------------------

class Bringing : public testing::Test {
  protected:
    void SetUp() override {
        {
            DaemonProcess first(directory_);
            ASSERT_TRUE(first.answers());
            GreetedClient client(first.socket());
            EXPECT_EQ(client.create("q").error, "");
            EXPECT_EQ(client.create("other").error, "");
            send_messages(client, "q", 3);
            send_messages(client, "other", 1);  // so that numbers and generations are alike
            take(client, "q", ring_, pool_, definition_);
            take(client, "other", other_ring_, other_pool_, other_definition_);
            first.stop(SIGKILL);
        }
        daemon_ = std::make_unique<DaemonProcess>(directory_);
        ASSERT_TRUE(daemon_->answers());
        client_ = std::make_unique<GreetedClient>(daemon_->socket());
    }
    void take(Client& client, const std::string& queue, Fd& ring, Fd& pool, Fd& definition) {
        const wire::Answer answer = client.attach(queue, "producer");
        ASSERT_EQ(answer.error, "");
        number_ = answer.parameters["participant"];
        generation_ = answer.parameters["generation"];
        ring = client.take_descriptor(answer, "ring");
        pool = client.take_descriptor(answer, "pool");
        definition = client.take_descriptor(answer, "definition");
    }
    std::string bring(const Fd& definition, const Fd& ring, const Fd& pool) {
        std::vector<Fd> descriptors;
        for (const Fd* fd : {&definition, &ring, &pool})
            descriptors.push_back(fd->duplicate());
        return client_
            ->call(method::reattach,
                   {{"participant", number_},
                    {"generation", generation_},
                    {"definition", 0},
                    {"ring", 1},
                    {"pool", 2}},
                   std::move(descriptors))
            .error;
    }
    bool known(const std::string& name) {
        const Json queues = client_->call(method::list).parameters["queues"];
        return std::any_of(queues.begin(), queues.end(),
                           [&](const Json& queue) { return queue["name"] == name; });
    }

    TemporaryDirectory directory_;
    std::unique_ptr<DaemonProcess> daemon_;
    std::unique_ptr<GreetedClient> client_;
    Fd ring_, pool_, definition_;
    Fd other_ring_, other_pool_, other_definition_;
    std::uint32_t number_ = 0;
    std::uint32_t generation_ = 0;
};

TEST_F(Bringing, what_the_daemon_made_is_taken_over) {
    EXPECT_EQ(client_->call(method::describe, {{"name", "q"}}).error, error::recovering);
    EXPECT_EQ(client_->create("q").error, error::recovering) << "an empty one in its place";
    EXPECT_EQ(bring(definition_, ring_, pool_), "");
    EXPECT_EQ(client_->describe("q")["ready"], 3);
    EXPECT_EQ(bring(other_definition_, other_ring_, other_pool_), "");
    EXPECT_EQ(client_->call(method::status).parameters["adopted"], 2);
    EXPECT_TRUE(eventually([&] {
        return client_->attach("none", "producer").error == error::queue_not_found;
    })) << "recovering has an end";
}

TEST_F(Bringing, an_empty_queue_of_that_name_makes_room_and_a_used_one_does_not) {
    EXPECT_TRUE(eventually([&] { return client_->create("q").error.empty(); }));
    EXPECT_TRUE(eventually([&] { return client_->create("other").error.empty(); }));
    send_messages(*client_, "other", 1);
    EXPECT_EQ(bring(definition_, ring_, pool_), "");
    EXPECT_EQ(client_->describe("q")["ready"], 3);
    EXPECT_EQ(bring(other_definition_, other_ring_, other_pool_), error::definition_refused);
    EXPECT_EQ(client_->describe("other")["ready"], 1);
}

TEST_F(Bringing, what_a_client_made_is_refused) {
    const std::string genuine = read_json(definition_).dump();
    const auto refused = [&](const Fd& definition, const Fd& ring, const Fd& pool) {
        EXPECT_EQ(bring(definition, ring, pool), error::definition_refused);
        EXPECT_FALSE(known("q"));
    };
    refused(sealed_memfd(genuine, all_seals & ~F_SEAL_WRITE), ring_, pool_);
    refused(sealed_memfd(genuine, all_seals & ~F_SEAL_SEAL), ring_, pool_);
    refused(sealed_memfd("{}", all_seals), ring_, pool_);
    refused(sealed_memfd("garbage", all_seals), ring_, pool_);
    refused(definition_, other_ring_, pool_);
    refused(definition_, ring_, other_pool_);
    refused(definition_, pool_, pool_);
    refused(definition_, definition_, definition_);
    refused(ring_, ring_, pool_);
    EXPECT_EQ(bring(definition_, ring_, pool_), "");
}

TEST_F(Bringing, a_definition_of_another_user_is_refused) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    Json richer = read_json(definition_);
    richer["mode"] = 0777;
    richer["options"]["mode"] = 0777;
    // Right in all but who made it: a stranger did, and handed it to us. The owner stays.
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    const Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    const int status = wait_for(start_child([&] {
        if (::setgroups(0, nullptr) != 0 || ::setresuid(54321, 54321, 54321) != 0) return 95;
        const Fd forged = sealed_memfd(richer.dump(), all_seals);
        return send_notice(theirs.get(), store_text("x"), forged.get()) == NoticeSent::sent ? 0 : 1;
    }));
    ASSERT_EQ(status, 0);
    Notice notice;
    Fd forged;
    ASSERT_EQ(receive_notice(ours.get(), notice, forged), NoticeReceived::notice);
    EXPECT_EQ(bring(forged, ring_, pool_), error::definition_refused);
    EXPECT_FALSE(known("q"));
}

TEST_F(Bringing, a_header_that_its_users_changed_is_refused) {
    shm::AttachFailure failure;
    auto segment =
        shm::Segment::attach(ring_.duplicate(), pool_.duplicate(), shm::Access::producer, failure);
    ASSERT_NE(segment, nullptr);
    segment->header().shape.flags ^= shm::exact_timestamps;
    EXPECT_EQ(bring(definition_, ring_, pool_), error::definition_refused);
    segment->header().shape.flags ^= shm::exact_timestamps;
    segment->header().magic = 0;
    EXPECT_EQ(bring(definition_, ring_, pool_), error::definition_refused);
    segment->header().magic = shm::segment_magic;
    // What an edit may change the definition says: the header keeps what the queue was made with.
    segment->header().shape.lease_ns *= 2;
    EXPECT_EQ(bring(definition_, ring_, pool_), "");
    EXPECT_EQ(client_->describe("q")["options"]["lease"],
              read_json(definition_)["options"]["lease"]);
}

TEST_F(Bringing, a_number_that_is_somebody_elses_is_not_given) {
    generation_ += 1;
    EXPECT_EQ(bring(definition_, ring_, pool_), error::participant_gone);
    EXPECT_TRUE(known("q")) << "the queue is taken over all the same";
    generation_ -= 1;
    number_ += 5;
    EXPECT_EQ(bring(definition_, ring_, pool_), error::participant_gone);
    number_ -= 5;
    // Another process than the one that the number belongs to.
    EXPECT_EQ(wait_for(start_child([&] {
                  client_ = std::make_unique<GreetedClient>(daemon_->socket());
                  return bring(definition_, ring_, pool_) == error::participant_gone ? 0 : 1;
              })),
              0);
    EXPECT_EQ(bring(definition_, ring_, pool_), "");
}

}  // namespace
}  // namespace shmq::daemon::test
