// A daemon in a thread of the test, and a client that speaks frames to it.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/version.hpp"
#include "daemon/daemon.hpp"
#include "daemon/log.hpp"
#include "wire/channel.hpp"
#include "wire/control.hpp"

namespace shmq::daemon::test {

// No wait of these tests may be longer: a watchdog, not a measure.
constexpr Nanoseconds patience_ns = 20 * nanoseconds_per_second;

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        char path[] = "/tmp/shmqd-test-XXXXXX";
        EXPECT_NE(::mkdtemp(path), nullptr);
        path_ = path;
        ::chmod(path, 0755);  // other users' children connect, too
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

class RunningDaemon {
  public:
    explicit RunningDaemon(Options options) : daemon_(std::move(options)) {
        set_log_level("off");
        if (!daemon_.start()) {
            ADD_FAILURE() << daemon_.problem();
            return;
        }
        loop_name_ = daemon_.loop_name();
        thread_ = std::thread([this] { status_ = daemon_.run(); });
    }
    ~RunningDaemon() { EXPECT_EQ(stop(), 0); }
    RunningDaemon(const RunningDaemon&) = delete;
    RunningDaemon& operator=(const RunningDaemon&) = delete;

    int stop() {
        if (thread_.joinable()) {
            daemon_.stop();
            thread_.join();
        }
        return status_;
    }
    // Waits until it ended by itself.
    int wait() {
        if (thread_.joinable()) thread_.join();
        return status_;
    }
    const std::string& loop_name() const { return loop_name_; }

  private:
    Daemon daemon_;
    std::thread thread_;
    std::string loop_name_;
    int status_ = 0;
};

inline Fd connect_to(const std::string& path) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
        return Fd();
    }
    return socket;
}

inline Fd own_pidfd() {
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
}

class Client {
  public:
    explicit Client(const std::string& path) : channel_(connect_to(path)) {}

    bool connected() const { return channel_.fd() >= 0; }
    int fd() const { return channel_.fd(); }

    // Sends a frame as it is.
    void send_text(std::string text, std::vector<Fd> descriptors = {}) {
        wire::Frame frame;
        frame.text = std::move(text);
        frame.descriptors = std::move(descriptors);
        channel_.send_until(std::move(frame), monotonic_now() + patience_ns);
    }
    // The next answer; nothing: the daemon closed the session.
    std::optional<wire::Answer> receive() {
        const auto status = channel_.receive_until(frame_, monotonic_now() + patience_ns);
        EXPECT_NE(status, wire::ReceiveStatus::timed_out) << "the daemon does not answer";
        if (status != wire::ReceiveStatus::frame) return std::nullopt;
        const auto answer = wire::parse_answer(frame_.text);
        EXPECT_TRUE(answer.has_value()) << frame_.text;
        return answer.has_value() ? std::optional(*answer) : std::nullopt;
    }
    wire::Answer call(std::string_view method, wire::Json parameters = wire::Json::object(),
                      std::vector<Fd> descriptors = {}) {
        send_text(wire::call_text({.method = std::string(method), .parameters = parameters}),
                  std::move(descriptors));
        const auto answer = receive();
        EXPECT_TRUE(answer.has_value()) << "closed instead of an answer to " << method;
        return answer.value_or(wire::Answer{.error = "closed"});
    }
    Fd take_descriptor(const wire::Answer& answer, const char* member) {
        return frame_.take_descriptor(answer.parameters.value(member, 99u));
    }

    wire::Answer hello() {
        std::vector<Fd> descriptors;
        descriptors.push_back(own_pidfd());
        return call(wire::method::hello, {{"version", version_text()}, {"pidfd", 0}},
                    std::move(descriptors));
    }
    wire::Answer create(const std::string& name, wire::Json options = wire::Json::object()) {
        return call(wire::method::create, {{"name", name}, {"options", options}});
    }
    wire::Answer attach(const std::string& name, const std::string& role) {
        return call(wire::method::attach, {{"name", name}, {"role", role}});
    }
    wire::Json describe(const std::string& name) {
        const wire::Answer answer = call(wire::method::describe, {{"name", name}});
        EXPECT_EQ(answer.error, "");
        return answer.parameters.value("queue", wire::Json::object());
    }

  private:
    wire::Channel channel_;
    wire::Frame frame_;
};

// A client that has said Hello.
class GreetedClient : public Client {
  public:
    explicit GreetedClient(const std::string& path) : Client(path) {
        EXPECT_TRUE(connected());
        EXPECT_EQ(hello().error, "");
    }
};

// Asks again until `done` or the watchdog.
template <typename Done>
bool eventually(Done done) {
    const Nanoseconds until = monotonic_now() + patience_ns;
    while (!done()) {
        if (monotonic_now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

// A daemon on each loop in turn.
class OnBothLoops : public testing::TestWithParam<IoChoice> {
  protected:
    Options options() {
        Options options;
        options.socket = directory_ / "socket";
        options.io = GetParam();
        return options;
    }
    void start() { start(options()); }
    void start(Options chosen) {
        path_ = chosen.socket;
        daemon_ = std::make_unique<RunningDaemon>(std::move(chosen));
        EXPECT_EQ(daemon_->loop_name(), GetParam() == IoChoice::uring ? "io_uring" : "epoll");
    }

    TemporaryDirectory directory_;
    std::string path_;
    std::unique_ptr<RunningDaemon> daemon_;
};

inline std::string name_of_loop(const testing::TestParamInfo<IoChoice>& info) {
    return info.param == IoChoice::uring ? "uring" : "epoll";
}

#define SHMQ_ON_BOTH_LOOPS(suite)                                                             \
    INSTANTIATE_TEST_SUITE_P(Loops, suite, testing::Values(IoChoice::uring, IoChoice::epoll), \
                             name_of_loop)

}  // namespace shmq::daemon::test
