#include "cli/child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/command.hpp"

namespace shmq::cli {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail_system(std::string_view what, int os_error) {
    throw Failure(Exit::failed, fmt::format("{}: {}", what, std::strerror(os_error)));
}

struct Child {
    pid_t pid = -1;
    int pidfd = -1;
    int input = -1;  // the end we write to; -1 once closed

    ~Child() {
        close_input();
        if (pidfd >= 0) ::close(pidfd);
    }
    void close_input() {
        if (input >= 0) ::close(input);
        input = -1;
    }
};

void start(Child& child, const std::string& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_system("pipe", errno);
    child.input = ends[1];
    // Ours alone: the other end is another open file, and stays blocking for the command.
    ::fcntl(child.input, F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);  // which we ignore, and the command expects
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    std::string shell = "sh", option = "-c", text = command;
    char* words[] = {shell.data(), option.data(), text.data(), nullptr};
    const int refused = ::posix_spawn(&child.pid, "/bin/sh", &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[0]);
    if (refused != 0) fail_system("/bin/sh", refused);
    child.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0));
    if (child.pidfd < 0) fail_system("pidfd_open", errno);
}

// Writes what fits now. A command that closed its input does not want the rest.
void feed(Child& child, std::span<const std::byte>& left) {
    const ssize_t written = ::write(child.input, left.data(), left.size());
    if (written >= 0) {
        left = left.subspan(static_cast<std::size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
        left = {};
    }
    if (left.empty()) child.close_input();
}

ChildEnd reap(const Child& child) {
    int status = 0;
    while (::waitpid(child.pid, &status, 0) < 0) {
        if (errno != EINTR) fail_system("waitpid", errno);
    }
    if (WIFSIGNALED(status)) return {true, WTERMSIG(status)};
    return {false, WEXITSTATUS(status)};
}

}  // namespace

ChildEnd run_command(const std::string& command, std::span<const std::byte> input,
                     std::chrono::nanoseconds period, const std::function<void()>& tick) {
    Child child;
    start(child, command);
    if (input.empty()) child.close_input();
    auto due = Clock::now() + period;
    for (;;) {
        const auto left = due - Clock::now();
        if (left <= std::chrono::nanoseconds(0)) {
            tick();
            due = Clock::now() + period;
            continue;
        }
        const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        const int wait_ms = static_cast<int>(std::min<std::int64_t>(left_ms, 60'000));
        // poll passes over negative descriptors: a closed input is not waited for.
        pollfd events[2] = {{child.pidfd, POLLIN, 0}, {child.input, POLLOUT, 0}};
        if (::poll(events, 2, wait_ms) < 0 && errno != EINTR) fail_system("poll", errno);
        if (events[1].revents != 0) feed(child, input);
        if (events[0].revents != 0) return reap(child);
    }
}

std::string describe(const ChildEnd& end) {
    if (end.signalled) return fmt::format("signal {} ({})", end.status, ::strsignal(end.status));
    return fmt::format("exit status {}", end.status);
}

}  // namespace shmq::cli
