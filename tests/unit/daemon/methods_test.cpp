// Every method and every error of docs/control_protocol.md, over real sockets, on both loops.
#include <fcntl.h>
#include <sys/eventfd.h>

#include "shm/segment.hpp"
#include "unit/daemon/harness.hpp"

namespace shmq::daemon::test {
namespace {

using wire::Json;
namespace error = wire::error;
namespace method = wire::method;

class DaemonMethods : public OnBothLoops {};
SHMQ_ON_BOTH_LOOPS(DaemonMethods);

TEST_P(DaemonMethods, hello_tells_who_the_daemon_is_and_gives_a_doorbell) {
    start();
    Client client(path_);
    const wire::Answer answer = client.hello();
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.parameters["pid"], ::getpid());
    EXPECT_EQ(answer.parameters["version"], version_text());
    EXPECT_EQ(answer.parameters["segment_version"], shm::segment_version);
    EXPECT_EQ(answer.parameters["instance"].get<std::string>().size(), 32u);
    const Fd doorbell = client.take_descriptor(answer, "doorbell");
    ASSERT_TRUE(doorbell);
    EXPECT_NE(::fcntl(doorbell.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(::eventfd_write(doorbell.get(), 1), 0);
    EXPECT_EQ(client.call(method::status).error, "");
}

TEST_P(DaemonMethods, hello_without_a_pidfd_is_enough_to_attach) {
    start();
    Client client(path_);
    EXPECT_EQ(client.call(method::hello, {{"version", version_text()}}).error, "");
    EXPECT_EQ(client.create("q").error, "");
    EXPECT_EQ(client.attach("q", "producer").error, "");
}

TEST_P(DaemonMethods, hello_is_refused_for_another_version_and_for_a_false_pidfd) {
    start();
    Client client(path_);
    wire::Answer answer = client.call(method::hello, {{"version", "999.0.0"}});
    EXPECT_EQ(answer.error, error::version_mismatch);
    EXPECT_EQ(answer.parameters["daemon"], version_text());
    EXPECT_EQ(answer.parameters["client"], "999.0.0");

    const auto hello_with = [&](Fd descriptor, int index) {
        std::vector<Fd> descriptors;
        descriptors.push_back(std::move(descriptor));
        return client.call(method::hello, {{"version", version_text()}, {"pidfd", index}},
                           std::move(descriptors));
    };
    for (int index : {0, 1, 7}) {
        answer = hello_with(Fd(::eventfd(0, EFD_CLOEXEC)), index);
        EXPECT_EQ(answer.error, error::invalid_parameter);
        EXPECT_EQ(answer.parameters["parameter"], "pidfd");
    }
    answer = hello_with(Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0))), 0);
    EXPECT_EQ(answer.error, error::invalid_parameter) << "somebody else's pidfd";
    EXPECT_EQ(client.hello().error, "");
    EXPECT_EQ(client.hello().error, error::invalid_parameter) << "twice";
}

TEST_P(DaemonMethods, everything_else_needs_a_hello) {
    start();
    Client client(path_);
    for (const auto name :
         {method::create, method::describe, method::list, method::remove, method::purge,
          method::status, method::attach, method::detach, method::reattach, method::resumed}) {
        EXPECT_EQ(client.call(name).error, error::hello_expected) << name;
    }
    EXPECT_EQ(client.call(method::get_info).error, "");
}

TEST_P(DaemonMethods, introspection_is_answered) {
    start();
    Client client(path_);
    EXPECT_EQ(client.call(method::get_info).parameters["product"], "shmqd");
    EXPECT_EQ(client.call(method::get_interface_description, {{"interface", wire::interface_name}})
                  .parameters["description"],
              wire::interface_description);
    wire::Answer answer =
        client.call(method::get_interface_description, {{"interface", "org.example"}});
    EXPECT_EQ(answer.error, error::interface_not_found);
    EXPECT_EQ(client.call("io.shmq.Control.Nonsense").error, error::method_not_found);
    EXPECT_EQ(client.call("org.example.Nonsense").error, error::interface_not_found);
    EXPECT_EQ(client.call("nonsense").error, error::interface_not_found);
}

TEST_P(DaemonMethods, more_and_upgrade_are_refused_and_oneway_is_not_answered) {
    start();
    GreetedClient client(path_);
    client.send_text(wire::call_text({.method = std::string(method::list), .more = true}));
    EXPECT_EQ(client.receive()->error, error::method_not_implemented);
    client.send_text(wire::call_text({.method = std::string(method::list), .upgrade = true}));
    EXPECT_EQ(client.receive()->error, error::method_not_implemented);
    client.send_text(wire::call_text({.method = std::string(method::create),
                                      .parameters = {{"name", "q"}, {"options", Json::object()}},
                                      .oneway = true}));
    const wire::Answer answer = client.call(method::list);
    ASSERT_EQ(answer.parameters["queues"].size(), 1u) << "the next answer is the next call's";
}

TEST_P(DaemonMethods, create_gives_a_queue_with_its_options_in_force) {
    start();
    GreetedClient client(path_);
    const wire::Answer answer = client.create("jobs/a", {{"capacity", 128},
                                                         {"slot_size", 128},
                                                         {"lease", 50'000'000},
                                                         {"mode", 0750},
                                                         {"overflow", "reject"},
                                                         {"exclusive_consumer", true},
                                                         {"in_flight", 7}});
    ASSERT_EQ(answer.error, "");
    EXPECT_TRUE(answer.parameters["created"]);
    const auto queue = wire::queue_from_json(answer.parameters["queue"]);
    ASSERT_TRUE(queue.has_value());
    EXPECT_EQ(queue->name, "jobs/a");
    EXPECT_EQ(queue->owner, ::geteuid());
    EXPECT_EQ(queue->group, ::getegid());
    EXPECT_EQ(queue->identity.size(), 32u);
    EXPECT_EQ(queue->options.capacity, 128u);
    EXPECT_EQ(queue->options.slot_size, 128u);
    EXPECT_EQ(queue->options.lease_ns, 50'000'000u);
    EXPECT_EQ(queue->options.mode, 0750u);
    EXPECT_EQ(queue->options.overflow, wire::Overflow::reject);
    EXPECT_EQ(queue->options.exclusive_consumer, true);
    EXPECT_EQ(queue->options.exclusive_producer, false);
    EXPECT_EQ(queue->options.in_flight, 7u);
    EXPECT_EQ(queue->options.max_message, limits::message_default_max_bytes);
    EXPECT_GT(queue->memory_bytes, limits::pool_default_bytes / 2);
    EXPECT_EQ(client.describe("jobs/a"), answer.parameters["queue"]);
}

TEST_P(DaemonMethods, create_compares_what_is_there) {
    start();
    GreetedClient client(path_);
    EXPECT_EQ(client.create("q", {{"capacity", 128}}).error, "");
    wire::Answer answer = client.create("q", {{"capacity", 128}});
    EXPECT_EQ(answer.error, error::queue_exists);
    EXPECT_EQ(answer.parameters["field"], "");
    const auto if_missing = [&](const Json& options) {
        return client.call(method::create,
                           {{"name", "q"}, {"options", options}, {"if_missing", true}});
    };
    answer = if_missing({{"capacity", 128}, {"mode", 0700}, {"exclusive_producer", false}});
    EXPECT_EQ(answer.error, "");
    EXPECT_FALSE(answer.parameters["created"]);
    const std::pair<Json, const char*> differing[] = {
        {{{"capacity", 256}}, "capacity"},
        {{{"slot_size", 128}}, "slot_size"},
        {{{"max_message", 10}}, "max_message"},
        {{{"pool", 1 << 30}}, "pool"},
        {{{"overflow", "reject"}}, "overflow"},
        {{{"overflow", "spill"}}, "overflow"},
        {{{"overflow", "spill"}, {"spill_limit", 1 << 30}}, "overflow"},
        {{{"durability", "durable"}}, "overflow"},
        {{{"lease", 20'000'000}}, "lease"},
        {{{"in_flight", 3}}, "in_flight"},
        {{{"mode", 0777}}, "mode"},
        {{{"group", 12345}}, "group"},
        {{{"exclusive_producer", true}}, "exclusive_producer"},
        {{{"exclusive_consumer", true}}, "exclusive_consumer"},
        {{{"exact_timestamps", true}}, "exact_timestamps"}};
    for (const auto& [options, field] : differing) {
        answer = if_missing(options);
        EXPECT_EQ(answer.error, error::queue_exists) << options;
        EXPECT_EQ(answer.parameters["field"], field) << options;
        EXPECT_NE(answer.parameters["present"], answer.parameters["wanted"]) << options;
    }
}

TEST_P(DaemonMethods, names_and_options_out_of_bounds_are_refused_by_name) {
    start();
    GreetedClient client(path_);
    for (const std::string name : {"", "/a", "a//b", "a/../b", "a b", "\n"}) {
        EXPECT_EQ(client.create(name).error, error::invalid_name) << name;
        EXPECT_EQ(client.attach(name, "producer").error, error::invalid_name) << name;
    }
    EXPECT_EQ(client.create(std::string(256, 'a')).error, error::invalid_name);
    EXPECT_EQ(client.create(std::string(255, 'a')).error, "");
    EXPECT_EQ(client.describe(std::string(255, 'a'))["options"]["dead_letter"],
              std::string(251, 'a') + ".dlq");
    const std::pair<Json, const char*> wrong[] = {
        {{{"capacity", 100}}, "options.capacity"},
        {{{"capacity", 1 << 30}}, "options.capacity"},
        {{{"capacity", -1}}, "options.capacity"},
        {{{"capacity", "many"}}, "options.capacity"},
        {{{"slot_size", 65}}, "options.slot_size"},
        {{{"max_message", 1ull << 40}}, "options.max_message"},
        {{{"pool", 5}}, "options.pool"},
        {{{"overflow", "explode"}}, "options.overflow"},
        {{{"overflow", "block"}, {"durability", "durable"}}, "options.overflow"},
        {{{"overflow", "drop_oldest"}, {"durability", "logged"}}, "options.overflow"},
        {{{"durability", "eternal"}}, "options.durability"},
        {{{"when_full", "reject"}}, "options.when_full"},
        {{{"overflow", "spill"}, {"when_full", "explode"}}, "options.when_full"},
        {{{"durability", "accepted"}, {"when_full", "block"}}, "options.when_full"},
        {{{"spill_limit", 1 << 30}}, "options.spill_limit"},
        {{{"overflow", "spill"}, {"spill_limit", 1 << 20}}, "options.spill_limit"},
        {{{"overflow", "spill"}, {"spill_limit", 1 << 20}, {"max_message", 1 << 20}},
         "options.spill_limit"},
        {{{"overflow", "spill"}, {"spill_limit", 5}, {"max_message", 1}}, "options.spill_limit"},
        {{{"overflow", "drop_oldest"}, {"exclusive_consumer", true}}, "options.overflow"},
        {{{"lease", 5}}, "options.lease"},
        {{{"in_flight", limits::in_flight_max + 1}}, "options.in_flight"},
        {{{"mode", 01000}}, "options.mode"},
        {{{"max_deliveries", 1024}}, "options.max_deliveries"},
        {{{"dead_letter", "a//b"}}, "options.dead_letter"},
        {{{"dead_letter", "q"}}, "options.dead_letter"},
        {{{"retry_delay", 1ull << 60}}, "options.retry_delay"},
        {{{"retry_delay", 5}, {"retry_delay_max", 4}}, "options.retry_delay_max"},
        {{{"retry_delay_max", 4}}, "options.retry_delay_max"},
        {{{"colour", "red"}}, "options.colour"}};
    for (const auto& [options, parameter] : wrong) {
        const wire::Answer answer = client.create("q", options);
        EXPECT_EQ(answer.error, error::invalid_parameter) << options;
        EXPECT_EQ(answer.parameters.value("parameter", ""), parameter) << options;
    }
    EXPECT_EQ(client.call(method::list, {{"x", 1}}).error, error::invalid_parameter);
    EXPECT_EQ(client.call(method::create, {{"name", "q"}}).error, error::invalid_parameter);
    EXPECT_EQ(client.call(method::list).parameters["queues"].size(), 1u);
}

TEST_P(DaemonMethods, an_unknown_queue_is_said_by_every_method_that_names_one) {
    start();
    GreetedClient client(path_);
    for (const auto name : {method::describe, method::remove, method::purge}) {
        EXPECT_EQ(client.call(name, {{"name", "none"}}).error, error::queue_not_found) << name;
    }
    EXPECT_EQ(client.attach("none", "consumer").error, error::queue_not_found);
    EXPECT_EQ(client.call(method::detach, {{"name", "none"}, {"participant", 1}}).error,
              error::queue_not_found);
}

// What an attach hands out, tried on the descriptors themselves.
TEST_P(DaemonMethods, attach_gives_descriptors_no_wider_than_the_role) {
    start();
    GreetedClient client(path_);
    EXPECT_EQ(client.create("q").error, "");
    const auto access = [](const Fd& fd) { return ::fcntl(fd.get(), F_GETFL) & O_ACCMODE; };
    const auto check = [&](const char* role, int ring_access, int pool_access) {
        const wire::Answer answer = client.attach("q", role);
        ASSERT_EQ(answer.error, "") << role;
        const Fd ring = client.take_descriptor(answer, "ring");
        const Fd pool = client.take_descriptor(answer, "pool");
        ASSERT_TRUE(ring && pool) << role;
        EXPECT_EQ(client.take_descriptor(answer, "definition").valid(), ring_access == O_RDWR);
        EXPECT_EQ(access(ring), ring_access) << role;
        EXPECT_EQ(access(pool), pool_access) << role;
        EXPECT_NE(::fcntl(ring.get(), F_GETFD) & FD_CLOEXEC, 0) << role;
        shm::AttachFailure failure;
        const auto kind = ring_access == O_RDONLY   ? shm::Access::observer
                          : pool_access == O_RDONLY ? shm::Access::consumer
                                                    : shm::Access::producer;
        EXPECT_NE(shm::Segment::attach(ring.duplicate(), pool.duplicate(), kind, failure), nullptr)
            << failure.detail;
    };
    check("producer", O_RDWR, O_RDWR);
    check("consumer", O_RDWR, O_RDONLY);
    check("observer", O_RDONLY, O_RDONLY);
    EXPECT_EQ(client.attach("q", "king").error, error::invalid_parameter);
    EXPECT_EQ(
        client.call(method::attach, {{"name", "q"}, {"role", "consumer"}, {"in_flight", 1u << 21}})
            .error,
        error::invalid_parameter);
}

TEST_P(DaemonMethods, participants_are_numbered_shared_out_and_detached) {
    start();
    GreetedClient client(path_);
    EXPECT_EQ(client.create("q", {{"capacity", 64}, {"in_flight", 40}}).error, "");
    wire::Answer first = client.attach("q", "consumer");
    EXPECT_EQ(first.parameters["in_flight"], 32) << "half the ring";
    wire::Answer second = client.attach("q", "consumer");
    EXPECT_EQ(second.parameters["in_flight"], 16) << "half the ring, shared by two";
    EXPECT_NE(first.parameters["participant"], second.parameters["participant"]);
    EXPECT_EQ(client.describe("q")["consumers"], 2);
    const auto detach = [&](const Json& number) {
        return client.call(method::detach, {{"name", "q"}, {"participant", number}}).error;
    };
    EXPECT_EQ(detach(second.parameters["participant"]), "");
    EXPECT_EQ(detach(second.parameters["participant"]), error::invalid_parameter);
    EXPECT_EQ(detach(0), error::invalid_parameter);
    EXPECT_EQ(detach(100'000), error::invalid_parameter);
    EXPECT_EQ(client.describe("q")["consumers"], 1);
    GreetedClient other(path_);
    EXPECT_EQ(
        other
            .call(method::detach, {{"name", "q"}, {"participant", first.parameters["participant"]}})
            .error,
        error::invalid_parameter)
        << "another session's";
}

TEST_P(DaemonMethods, an_exclusive_role_is_taken_until_its_holder_detaches) {
    start();
    GreetedClient client(path_);
    GreetedClient other(path_);
    EXPECT_EQ(
        client.create("q", {{"exclusive_producer", true}, {"exclusive_consumer", true}}).error, "");
    for (const char* role : {"producer", "consumer"}) {
        const wire::Answer taken = client.attach("q", role);
        EXPECT_EQ(taken.error, "");
        EXPECT_TRUE(taken.parameters["exclusive"]);
        const wire::Answer refused = other.attach("q", role);
        EXPECT_EQ(refused.error, error::role_taken);
        EXPECT_EQ(refused.parameters["role"], role);
        EXPECT_EQ(refused.parameters["pid"], ::getpid());
        const Json number = taken.parameters["participant"];
        EXPECT_EQ(client.call(method::detach, {{"name", "q"}, {"participant", number}}).error, "");
        EXPECT_EQ(other.attach("q", role).error, "");
    }
    EXPECT_EQ(client.attach("q", "observer").error, "") << "observers are no participants";
}

TEST_P(DaemonMethods, an_exclusive_role_outlives_its_session_as_long_as_the_process) {
    start();
    GreetedClient other(path_);
    EXPECT_EQ(other.create("q", {{"exclusive_consumer", true}}).error, "");
    {
        GreetedClient client(path_);
        EXPECT_EQ(client.attach("q", "consumer").error, "");
    }
    EXPECT_TRUE(eventually([&] { return other.call(method::status).parameters["sessions"] == 1; }));
    EXPECT_EQ(other.attach("q", "consumer").error, error::role_taken);
}

TEST_P(DaemonMethods, remove_wants_force_where_somebody_is_attached) {
    start();
    GreetedClient client(path_);
    GreetedClient other(path_);
    EXPECT_EQ(client.create("q").error, "");
    const wire::Answer attached = other.attach("q", "consumer");
    wire::Answer answer = client.call(method::remove, {{"name", "q"}});
    EXPECT_EQ(answer.error, error::queue_in_use);
    EXPECT_EQ(answer.parameters["participants"], 1);
    answer = client.call(method::remove, {{"name", "q"}, {"force", true}});
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.parameters["dropped"], 0);
    EXPECT_EQ(client.create("q").error, "") << "the name is free";
    EXPECT_EQ(other
                  .call(method::detach,
                        {{"name", "q"}, {"participant", attached.parameters["participant"]}})
                  .error,
              error::invalid_parameter)
        << "a number of the queue that was";
    EXPECT_EQ(client.call(method::purge, {{"name", "q"}}).parameters["purged"], 0);
    EXPECT_EQ(client.call(method::remove, {{"name", "q"}}).error, "");
}

TEST_P(DaemonMethods, status_counts_queues_and_sessions) {
    start();
    GreetedClient client(path_);
    GreetedClient other(path_);
    EXPECT_EQ(client.create("q").error, "");
    const Json status = client.call(method::status).parameters;
    EXPECT_EQ(status["queues"], 1);
    EXPECT_EQ(status["sessions"], 2);
    EXPECT_EQ(status["socket"], path_);
    EXPECT_EQ(status["state_directory"], path_ + ".state");
    EXPECT_EQ(status["alarm"], "");
    EXPECT_EQ(status["deaths"], 0);
    EXPECT_EQ(status["reclaimed"], 0);
    EXPECT_GT(status["uptime"], 0);
}

TEST_P(DaemonMethods, quotas_hold_per_uid_and_come_back) {
    Options chosen = options();
    chosen.quotas = {.queues = 2, .sessions = 2, .memory_bytes = 80 << 20};
    start(chosen);
    GreetedClient client(path_);
    const Json no_pool = {{"max_message", 32}};
    EXPECT_EQ(client.create("a").error, "");
    wire::Answer answer = client.create("b");
    EXPECT_EQ(answer.error, error::quota_exceeded);
    EXPECT_EQ(answer.parameters["resource"], "memory_bytes");
    EXPECT_EQ(client.create("b", no_pool).error, "");
    answer = client.create("c", no_pool);
    EXPECT_EQ(answer.error, error::quota_exceeded);
    EXPECT_EQ(answer.parameters["resource"], "queues");
    EXPECT_EQ(answer.parameters["limit"], 2);
    EXPECT_EQ(client.call(method::remove, {{"name", "a"}}).error, "");
    EXPECT_EQ(client.create("c").error, "");

    auto second = std::make_unique<GreetedClient>(path_);
    Client third(path_);
    const auto refusal = third.receive();
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->error, error::quota_exceeded);
    EXPECT_EQ(refusal->parameters["resource"], "sessions");
    EXPECT_FALSE(third.receive().has_value()) << "closed after it";
    second.reset();
    EXPECT_TRUE(eventually([&] {
        Client again(path_);
        again.send_text(wire::call_text({.method = std::string(method::get_info)}));
        const auto response = again.receive();
        return response.has_value() && response->error.empty();
    }));
}

TEST_P(DaemonMethods, a_damaged_queue_can_be_seen_and_removed_and_nothing_else) {
    start();
    GreetedClient client(path_);
    EXPECT_EQ(client.create("q", {{"capacity", 64}}).error, "");
    const wire::Answer attached = client.attach("q", "producer");
    const Fd ring = client.take_descriptor(attached, "ring");
    shm::AttachFailure failure;
    const auto segment =
        shm::Segment::attach(ring.duplicate(), Fd(), shm::Access::producer, failure);
    ASSERT_NE(segment, nullptr) << failure.detail;
    // A slot that is owned by this participant in a state that has no owner.
    const std::uint64_t number = attached.parameters["participant"];
    const shm::Geometry& geometry = segment->geometry();
    auto& slot = *reinterpret_cast<shm::SlotHeader*>(segment->ring_base() + geometry.slots_offset);
    slot.word.store(number << 4 | 15);
    EXPECT_EQ(client.call(method::detach, {{"name", "q"}, {"participant", number}}).error, "");
    EXPECT_TRUE(client.describe("q")["quarantined"]);
    EXPECT_EQ(segment->header().items.closed.load(),
              static_cast<std::uint32_t>(shm::QueueStatus::quarantined));
    EXPECT_EQ(client.attach("q", "consumer").error, error::quarantined);
    EXPECT_EQ(client.call(method::purge, {{"name", "q"}}).error, error::quarantined);
    EXPECT_EQ(client.call(method::remove, {{"name", "q"}, {"force", true}}).error, "");
}

}  // namespace
}  // namespace shmq::daemon::test
