// shmqd as users meet it: a process, signals, a second one, other users, dying clients.
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>

#include <cstddef>

#include "e2e/daemon_process.hpp"

namespace shmq::daemon::test {
namespace {

namespace error = wire::error;
namespace method = wire::method;
using wire::Json;

class ShmqdProcess : public testing::Test {
  protected:
    TemporaryDirectory directory_;
};

TEST_F(ShmqdProcess, ends_in_order_on_sigterm_and_sigint_and_stays_on_sighup) {
    for (const int signal : {SIGTERM, SIGINT}) {
        DaemonProcess daemon(directory_);
        ASSERT_TRUE(daemon.answers());
        GreetedClient client(daemon.socket());
        EXPECT_EQ(client.create("q").error, "");
        ::kill(daemon.pid(), SIGHUP);
        EXPECT_TRUE(eventually([&] { return daemon.log().find("SIGHUP") != std::string::npos; }));
        EXPECT_EQ(client.call(method::list).error, "");
        EXPECT_EQ(daemon.stop(signal), 0);
        EXPECT_FALSE(client.receive().has_value()) << "the session ends with the daemon";
        EXPECT_FALSE(std::filesystem::exists(daemon.socket()));
        EXPECT_NE(daemon.log().find("ended"), std::string::npos) << daemon.log();
    }
}

TEST_F(ShmqdProcess, a_second_one_says_who_holds_the_socket) {
    DaemonProcess first(directory_);
    ASSERT_TRUE(first.answers());
    DaemonProcess second(directory_);
    EXPECT_EQ(second.wait(), 1);
    EXPECT_NE(second.log().find("another shmqd (pid " + std::to_string(first.pid()) + ")"),
              std::string::npos)
        << second.log();
    EXPECT_TRUE(first.answers());
}

TEST_F(ShmqdProcess, a_stale_socket_is_replaced_and_another_file_is_not) {
    {
        DaemonProcess daemon(directory_);
        ASSERT_TRUE(daemon.answers());
        EXPECT_EQ(daemon.stop(SIGKILL), 1000 + SIGKILL);
        EXPECT_TRUE(std::filesystem::exists(daemon.socket()));
    }
    {
        DaemonProcess daemon(directory_);
        EXPECT_TRUE(daemon.answers());
    }
    std::ofstream(directory_ / "socket") << "precious";
    DaemonProcess daemon(directory_);
    EXPECT_EQ(daemon.wait(), 1);
    EXPECT_NE(daemon.log().find("not a socket"), std::string::npos) << daemon.log();
    EXPECT_EQ(std::filesystem::file_size(directory_ / "socket"), 8u);
}

TEST_F(ShmqdProcess, idle_it_ends_but_not_while_it_holds_a_queue) {
    DaemonProcess daemon(directory_, {"--idle-exit", "300ms"});
    ASSERT_TRUE(daemon.answers());
    auto client = std::make_unique<GreetedClient>(daemon.socket());
    EXPECT_EQ(client->create("q").error, "");
    client.reset();
    ::usleep(600'000);  // longer than the idle time: the queue must keep it
    client = std::make_unique<GreetedClient>(daemon.socket());
    EXPECT_EQ(client->call(method::remove, {{"name", "q"}}).error, "");
    client.reset();
    EXPECT_EQ(daemon.wait(), 0);
    EXPECT_NE(daemon.log().find("idle"), std::string::npos) << daemon.log();
}

TEST_F(ShmqdProcess, wrong_usage_is_2) {
    DaemonProcess daemon(directory_, {"--bogus"});
    EXPECT_EQ(daemon.wait(), 2);
    EXPECT_NE(daemon.log().find("--bogus"), std::string::npos) << daemon.log();
}

// Refuses io_uring to this process and what it starts, as container runtimes do.
void refuse_io_uring() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{sizeof(program) / sizeof(program[0]), program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        ::_exit(126);
    }
}

TEST_F(ShmqdProcess, without_io_uring_it_says_so_and_works) {
    DaemonProcess daemon(directory_, {}, refuse_io_uring);
    ASSERT_TRUE(daemon.answers()) << daemon.log();
    EXPECT_NE(daemon.log().find("loop epoll because io_uring_setup: Operation not permitted"),
              std::string::npos)
        << daemon.log();
    GreetedClient client(daemon.socket());
    EXPECT_EQ(client.create("q").error, "");
}

TEST_F(ShmqdProcess, told_to_use_io_uring_it_does_not_start_without) {
    DaemonProcess daemon(directory_, {"--io", "uring"}, refuse_io_uring);
    EXPECT_EQ(daemon.wait(), 1);
}

// ---- Two users ---------------------------------------------------------------------------------

constexpr uid_t stranger = 54321;

int as_user(uid_t uid, gid_t gid, const std::function<int()>& body) {
    return wait_for(start_child([&] {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 ||
            ::setresuid(uid, uid, uid) != 0) {
            return 95;
        }
        return body();
    }));
}

TEST_F(ShmqdProcess, rights_hold_between_users) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become two other users";
    DaemonProcess daemon(directory_);
    ASSERT_TRUE(daemon.answers());
    const uid_t owner = stranger + 1;
    EXPECT_EQ(as_user(owner, 7000,
                      [&] {
                          GreetedClient client(daemon.socket());
                          EXPECT_EQ(client.create("private").error, "");
                          EXPECT_EQ(client.create("in", {{"mode", 0702}}).error, "");
                          EXPECT_EQ(client.create("out", {{"mode", 0701}}).error, "");
                          EXPECT_EQ(client.create("managed", {{"mode", 0704}}).error, "");
                          EXPECT_EQ(client.create("group", {{"mode", 0730}}).error, "");
                          EXPECT_EQ(client.create("foreign", {{"group", 7001}}).error,
                                    error::invalid_parameter);
                          return 0;
                      }),
              0);
    const auto errors_of = [&](uid_t uid, gid_t gid, const std::string& queue,
                               const std::string& expected) {
        return as_user(uid, gid, [&] {
            GreetedClient client(daemon.socket());
            std::string allowed;
            const auto note = [&](char letter, const wire::Answer& answer) {
                if (answer.error.empty()) {
                    allowed += letter;
                } else {
                    EXPECT_EQ(answer.error, error::permission_denied) << letter;
                    EXPECT_EQ(answer.parameters["uid"], uid);
                    EXPECT_EQ(answer.parameters["owner"], owner);
                }
            };
            note('s', client.call(method::describe, {{"name", queue}}));
            note('p', client.attach(queue, "producer"));
            note('c', client.attach(queue, "consumer"));
            note('o', client.attach(queue, "observer"));
            note('m', client.call(method::purge, {{"name", queue}}));
            EXPECT_EQ(allowed, expected) << queue << " as " << uid;
            const Json queues = client.call(method::list).parameters["queues"];
            bool listed = false;
            for (const Json& each : queues)
                listed = listed || each["name"] == queue;
            EXPECT_EQ(listed, !expected.empty());
            return 0;
        });
    };
    EXPECT_EQ(errors_of(stranger, 7005, "private", ""), 0);
    EXPECT_EQ(errors_of(stranger, 7005, "in", "sp"), 0);
    EXPECT_EQ(errors_of(stranger, 7005, "out", "sco"), 0);
    EXPECT_EQ(errors_of(stranger, 7005, "managed", "som"), 0);
    EXPECT_EQ(errors_of(stranger, 7005, "group", ""), 0);
    EXPECT_EQ(errors_of(stranger, 7000, "group", "spco"), 0);
    EXPECT_EQ(errors_of(owner, 7000, "private", "spcom"), 0);
    GreetedClient root(daemon.socket());
    EXPECT_EQ(root.call(method::remove, {{"name", "private"}, {"force", true}}).error, "");
    EXPECT_EQ(as_user(stranger, 7005,
                      [&] {
                          GreetedClient client(daemon.socket());
                          EXPECT_EQ(
                              client.call(method::remove, {{"name", "in"}, {"force", true}}).error,
                              error::permission_denied);
                          return 0;
                      }),
              0);
}

// A user's own daemon is not for others.
TEST_F(ShmqdProcess, a_users_daemon_lets_no_stranger_connect) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become two other users";
    ::chmod((directory_ / "").c_str(), 0777);
    DaemonProcess daemon(directory_, {}, [] {
        if (::setresuid(stranger, stranger, stranger) != 0) ::_exit(95);
    });
    ASSERT_TRUE(daemon.answers()) << daemon.log();
    EXPECT_EQ(
        as_user(stranger + 1, 7000, [&] { return Client(daemon.socket()).connected() ? 1 : 0; }),
        0);
    EXPECT_EQ(as_user(stranger, 7000, [&] { return Client(daemon.socket()).connected() ? 0 : 1; }),
              0);
}

// ---- Ends of clients ---------------------------------------------------------------------------

class ShmqdClients : public ShmqdProcess {
  protected:
    void SetUp() override {
        daemon_ = std::make_unique<DaemonProcess>(directory_);
        ASSERT_TRUE(daemon_->answers());
        client_ = std::make_unique<GreetedClient>(daemon_->socket());
        int ends[2];
        ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        told_reader_.reset(ends[0]);
        told_writer_.reset(ends[1]);
    }
    // Five messages in `q`, three of them in the hands of a child that then runs `then`.
    void hold_three(const Json& options, const std::function<void(Client&)>& then) {
        ASSERT_EQ(client_->create("q", options).error, "");
        send_messages(*client_, "q", 5);
        child_ = start_holder(daemon_->socket(), "q", 3, told_writer_, then);
        pollfd watched{told_reader_.get(), POLLIN, 0};
        ASSERT_EQ(::poll(&watched, 1, 20'000), 1) << "the child never held its messages";
    }
    void kill_child() {
        ::kill(child_, SIGKILL);
        EXPECT_EQ(wait_for(std::exchange(child_, -1)), 1000 + SIGKILL);
    }
    bool queue_comes_to(const Json& wanted) {
        Json last;
        const bool came = eventually([&] {
            last = client_->describe("q");
            for (const auto& [key, value] : wanted.items()) {
                if (last[key] != value) return false;
            }
            return true;
        });
        EXPECT_TRUE(came) << last.dump();
        return came;
    }
    void TearDown() override {
        if (child_ > 0) kill_child();
    }

    std::unique_ptr<DaemonProcess> daemon_;
    std::unique_ptr<GreetedClient> client_;
    Fd told_reader_;
    Fd told_writer_;
    pid_t child_ = -1;
};

TEST_F(ShmqdClients, what_a_killed_consumer_held_is_given_back) {
    hold_three(Json::object(), [](Client&) {});
    EXPECT_TRUE(queue_comes_to({{"leased", 3}, {"ready", 2}, {"returned", 0}, {"consumers", 1}}));
    const pid_t killed = child_;
    kill_child();
    EXPECT_TRUE(queue_comes_to(
        {{"leased", 0}, {"ready", 2}, {"returned", 3}, {"consumers", 0}, {"reclaimed", 3}}));
    const Json status = client_->call(method::status).parameters;
    EXPECT_EQ(status["deaths"], 1);
    EXPECT_EQ(status["reclaimed"], 3);
    EXPECT_NE(daemon_->log().find("process " + std::to_string(killed) + " ("), std::string::npos);
    EXPECT_NE(daemon_->log().find("given back 3 messages"), std::string::npos) << daemon_->log();
}

TEST_F(ShmqdClients, a_killed_holder_of_an_exclusive_role_makes_room) {
    hold_three({{"exclusive_consumer", true}}, [](Client&) {});
    wire::Answer answer = client_->attach("q", "consumer");
    EXPECT_EQ(answer.error, error::role_taken);
    EXPECT_EQ(answer.parameters["pid"], child_);
    kill_child();
    EXPECT_EQ(client_->attach("q", "consumer").error, "") << "at once: it was dead before we asked";
    EXPECT_TRUE(queue_comes_to({{"leased", 0}, {"returned", 3}}));
}

TEST_F(ShmqdClients, a_hang_up_gives_back_leases_and_nothing_else) {
    hold_three(Json::object(), [](Client& client) { ::shutdown(client.fd(), SHUT_RDWR); });
    EXPECT_TRUE(queue_comes_to({{"leased", 0}, {"returned", 3}, {"consumers", 1}}));
    EXPECT_EQ(client_->call(method::status).parameters["deaths"], 0);
    kill_child();
    EXPECT_TRUE(queue_comes_to({{"returned", 3}, {"consumers", 0}, {"reclaimed", 3}}));
    EXPECT_EQ(client_->call(method::status).parameters["deaths"], 1);
}

TEST_F(ShmqdClients, a_bad_frame_is_a_hang_up) {
    hold_three(Json::object(), [](Client& client) { client.send_text("garbage"); });
    EXPECT_TRUE(queue_comes_to({{"leased", 0}, {"returned", 3}, {"consumers", 1}}));
}

TEST_F(ShmqdClients, exec_is_a_hang_up) {
    const Fd told = Fd(::fcntl(told_writer_.get(), F_DUPFD_CLOEXEC, 0));
    hold_three(Json::object(), [&](Client&) {
        if (::write(told.get(), "x", 1) == 1) ::execlp("sleep", "sleep", "1000", nullptr);
    });
    EXPECT_TRUE(queue_comes_to({{"leased", 0}, {"returned", 3}, {"consumers", 1}}));
    kill_child();
    EXPECT_TRUE(queue_comes_to({{"consumers", 0}}));
}

TEST_F(ShmqdClients, a_lease_that_runs_out_returns_though_its_holder_is_stopped) {
    hold_three({{"lease", 50 * nanoseconds_per_millisecond}}, [](Client&) {});
    ::kill(child_, SIGSTOP);
    EXPECT_TRUE(queue_comes_to({{"leased", 0}, {"returned", 3}, {"consumers", 1}, {"expired", 3}}));
}

TEST_F(ShmqdClients, remove_by_force_tells_its_users) {
    hold_three(Json::object(), [](Client&) {});
    Attached attached(*client_, "q", "producer");
    EXPECT_EQ(client_->call(method::remove, {{"name", "q"}}).error, error::queue_in_use);
    const wire::Answer answer = client_->call(method::remove, {{"name", "q"}, {"force", true}});
    EXPECT_EQ(answer.parameters["dropped"], 5);
    EXPECT_EQ(attached.segment->header().items.closed.load(),
              static_cast<std::uint32_t>(shm::QueueStatus::removed));
    kill_child();  // the dead of a queue that is gone do no harm
    EXPECT_EQ(client_->call(method::status).error, "");
}

TEST_F(ShmqdClients, purge_drops_what_waits) {
    hold_three(Json::object(), [](Client&) {});
    EXPECT_EQ(client_->call(method::purge, {{"name", "q"}}).parameters["purged"], 2);
    EXPECT_TRUE(queue_comes_to({{"ready", 0}, {"leased", 3}, {"purged", 2}}));
}

}  // namespace
}  // namespace shmq::daemon::test
