#include "unit/client/fake_daemon.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <optional>

#include "base/version.hpp"
#include "shm/layout.hpp"

namespace shmq {

ScratchDirectory::ScratchDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "shmq_unit_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

FakeDaemon::Reaction FakeDaemon::answer(const wire::Json& parameters, std::vector<Fd> descriptors) {
    return {wire::answer_text(parameters), std::move(descriptors), false};
}

FakeDaemon::Reaction FakeDaemon::fail(const wire::Failure& failure) {
    return {wire::failure_text(failure), {}, false};
}

FakeDaemon::Reaction FakeDaemon::hang_up() {
    return {{}, {}, true};
}

FakeDaemon::FakeDaemon()
    : socket_(directory_ / "socket"),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      doorbell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    on(wire::method::hello, [this](const wire::Call&, wire::Frame&) {
        std::vector<Fd> descriptors;
        descriptors.push_back(doorbell_.duplicate());
        return answer(hello_parameters(), std::move(descriptors));
    });
    thread_ = std::thread([this] { run(); });
}

FakeDaemon::~FakeDaemon() {
    stop();
}

void FakeDaemon::stop() {
    if (!thread_.joinable()) return;
    EXPECT_EQ(::eventfd_write(stop_.get(), 1), 0);
    thread_.join();
    listener_.reset();
}

void FakeDaemon::on(std::string_view method, Handler handler) {
    const std::lock_guard lock(mutex_);
    handlers_[std::string(method)] = std::move(handler);
}

void FakeDaemon::greet_with(std::string text) {
    const std::lock_guard lock(mutex_);
    greeting_ = std::move(text);
}

std::vector<wire::Call> FakeDaemon::calls(std::string_view method) const {
    const std::lock_guard lock(mutex_);
    std::vector<wire::Call> found;
    for (const wire::Call& call : calls_) {
        if (method.empty() || call.method == method) found.push_back(call);
    }
    return found;
}

std::uint64_t FakeDaemon::take_rings() const {
    eventfd_t count = 0;
    return ::eventfd_read(doorbell_.get(), &count) == 0 ? count : 0;
}

wire::Json FakeDaemon::hello_parameters() const {
    return {{"pid", ::getpid()},
            {"version", version_text()},
            {"segment_version", shm::segment_version},
            {"instance", "00"},
            {"doorbell", 0}};
}

// One connection after the other, as a session has them.
void FakeDaemon::run() {
    std::optional<wire::Channel> channel;
    while (true) {
        std::array<pollfd, 3> watched{{{stop_.get(), POLLIN, 0},
                                       {listener_.get(), POLLIN, 0},
                                       {channel ? channel->fd() : -1, POLLIN, 0}}};
        ::poll(watched.data(), watched.size(), -1);
        if (watched[0].revents != 0) return;
        if (watched[2].revents != 0 && !serve(*channel)) channel.reset();
        if (!channel && watched[1].revents != 0) {
            channel.emplace(Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
            const std::lock_guard lock(mutex_);
            if (greeting_.empty()) continue;
            wire::Frame frame;
            frame.text = greeting_;
            channel->send(std::move(frame));
            channel.reset();
        }
    }
}

bool FakeDaemon::serve(wire::Channel& channel) {
    while (true) {
        wire::Frame frame;
        const wire::ReceiveStatus status = channel.receive(frame);
        if (status == wire::ReceiveStatus::nothing_yet) return true;
        if (status != wire::ReceiveStatus::frame) return false;
        const auto call = wire::parse_call(frame.text);
        if (!call) return false;
        Reaction reaction = react(*call, frame);
        if (!reaction.text.empty()) {
            wire::Frame out;
            out.text = std::move(reaction.text);
            out.descriptors = std::move(reaction.descriptors);
            channel.send(std::move(out));
        }
        if (reaction.hang_up) return false;
    }
}

FakeDaemon::Reaction FakeDaemon::react(const wire::Call& call, wire::Frame& frame) {
    Handler handler;
    {
        const std::lock_guard lock(mutex_);
        calls_.push_back(call);
        const auto found = handlers_.find(call.method);
        if (found == handlers_.end()) return fail(wire::method_not_found(call.method));
        handler = found->second;
    }
    return handler(call, frame);
}

bool Gate::wait() const {
    const auto watchdog = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!open_.load()) {
        if (std::chrono::steady_clock::now() > watchdog) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

wire::Queue sample_queue(std::string_view name) {
    wire::Queue queue;
    queue.name = name;
    queue.identity = "00112233445566778899aabbccddeeff";
    queue.options.capacity = 1024;
    queue.options.mode = 0750;
    queue.options.lease_ns = 30'000'000'000;
    queue.options.overflow = wire::Overflow::reject;
    queue.owner = 1000;
    queue.group = 1001;
    queue.ready = 3;
    return queue;
}

}  // namespace shmq
