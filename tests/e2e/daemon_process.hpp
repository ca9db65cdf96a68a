// shmqd as a process of its own, and children that act as its clients.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>

#include "shm/queue.hpp"
#include "shm/segment.hpp"
#include "unit/daemon/harness.hpp"

namespace shmq::daemon::test {

inline std::string daemon_program() {
    const char* folder = std::getenv("SHMQ_TEST_BIN_DIR");
    return std::string(folder != nullptr ? folder : SHMQ_TEST_BIN_DIR) + "/shmqd";
}

// The exit status of a child, or 1000 plus the signal that ended it.
inline int wait_for(pid_t pid) {
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; });
    EXPECT_TRUE(ended) << "process " << pid << " does not end";
    if (!ended) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, &status, 0);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// A child that runs `body` and exits with what it returns.
inline pid_t start_child(const std::function<int()>& body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no test leaves one behind
    const int status = body();
    ::_exit(testing::Test::HasFailure() ? 98 : status);
}

class DaemonProcess {
  public:
    DaemonProcess(
        const TemporaryDirectory& directory, std::vector<std::string> arguments = {},
        const std::function<void()>& before_exec = [] {})
        : socket_(directory / "socket"), log_(directory / "log") {
        // Alone: survival_test.cpp has daemons with keepers.
        arguments.insert(arguments.begin(), {daemon_program(), "--no-keeper", "--socket", socket_});
        pid_ = start_child([&] {
            const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            ::dup2(log, STDERR_FILENO);
            std::vector<char*> words;
            for (auto& argument : arguments)
                words.push_back(argument.data());
            words.push_back(nullptr);
            before_exec();
            ::execv(words[0], words.data());
            return 127;
        });
    }
    ~DaemonProcess() {
        if (pid_ <= 0) return;
        const int status = stop(SIGTERM);
        EXPECT_EQ(status, 0) << log();
    }
    DaemonProcess(const DaemonProcess&) = delete;
    DaemonProcess& operator=(const DaemonProcess&) = delete;

    // Waits until this very process answers. A connection alone proves nothing: the kernel takes
    // io_uring rings apart a moment after their process has ended, and until then a dead daemon's
    // socket still accepts.
    bool answers() const {
        return eventually([this] {
            Client client(socket_);
            if (!client.connected()) return false;
            client.send_text(wire::call_text({.method = std::string(wire::method::hello),
                                              .parameters = {{"version", version_text()}}}));
            const auto answer = client.receive();
            return answer.has_value() && answer->parameters.value("pid", 0) == pid_;
        });
    }
    int stop(int signal) {
        ::kill(pid_, signal);
        return wait();
    }
    int wait() { return wait_for(std::exchange(pid_, -1)); }
    pid_t pid() const { return pid_; }
    const std::string& socket() const { return socket_; }
    std::string log() const {
        std::stringstream text;
        text << std::ifstream(log_).rdbuf();
        return text.str();
    }

  private:
    std::string socket_;
    std::string log_;
    pid_t pid_ = -1;
};

// A participant with its mapping, as libshmq's client would have it.
struct Attached {
    Attached(Client& client, const std::string& queue, const std::string& role) {
        const wire::Answer answer = client.attach(queue, role);
        EXPECT_EQ(answer.error, "") << answer.parameters;
        if (!answer.error.empty()) return;
        number = answer.parameters["participant"];
        in_flight = answer.parameters["in_flight"];
        shm::AttachFailure failure;
        Fd ring = client.take_descriptor(answer, "ring");
        Fd pool = client.take_descriptor(answer, "pool");
        segment = shm::Segment::attach(
            std::move(ring), std::move(pool),
            role == "producer" ? shm::Access::producer : shm::Access::consumer, failure);
        EXPECT_NE(segment, nullptr) << failure.detail;
        if (segment == nullptr) return;
        view = shm::QueueView(segment->ring_base(), segment->pool_base(), segment->geometry());
    }
    std::uint16_t number = 0;
    std::uint32_t in_flight = 0;
    std::unique_ptr<shm::Segment> segment;
    shm::QueueView view;
};

inline void send_messages(Client& client, const std::string& queue, int count) {
    Attached attached(client, queue, "producer");
    shm::SendSide side(attached.view, attached.number, true);
    for (int i = 0; i < count; ++i) {
        const std::byte payload{static_cast<unsigned char>(i)};
        EXPECT_EQ(side.try_send(&payload, 1, 1), shm::SendStatus::sent);
    }
    EXPECT_EQ(client.call(wire::method::detach, {{"name", queue}, {"participant", attached.number}})
                  .error,
              "");
}

// A child that takes `count` messages, says so by a byte on `told`, runs `then`, and waits.
inline pid_t start_holder(const std::string& socket, const std::string& queue, int count,
                          const Fd& told, const std::function<void(Client&)>& then) {
    return start_child([&] {
        auto client = std::make_unique<GreetedClient>(socket);
        Attached attached(*client, queue, "consumer");
        shm::ReceiveSide side(attached.view, attached.number, attached.in_flight, true);
        for (int i = 0; i < count; ++i) {
            shm::Delivery delivery;
            if (side.try_receive(delivery) != shm::ReceiveStatus::received) return 97;
        }
        then(*client);
        if (::write(told.get(), "x", 1) != 1) return 96;
        for (;;)
            ::pause();
        return 0;
    });
}

}  // namespace shmq::daemon::test
