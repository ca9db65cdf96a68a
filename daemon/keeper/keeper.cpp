#include "daemon/keeper/keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "daemon/keeper/inherited.hpp"
#include "daemon/keeper/message.hpp"

namespace shmq::daemon {
namespace {

constexpr int hang_up_grace_ms = 5000;
constexpr int first_descriptor = 3;

void say(const char* what, long number) {
    std::fprintf(stderr, "shmq-keeper (pid %d): %s %ld\n", static_cast<int>(::getpid()), what,
                 number);
}

sigset_t handled_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
        ::sigaddset(&set, number);
    return set;
}

// Every queue and every client costs a descriptor here.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

int exit_status_of(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Makes each of `sources` the descriptor first_descriptor plus its index. Whoever lies where
// another one has to go moves away, one at a time: a copy of all of them would need twice as many
// descriptors as we hold, and we may hold nearly as many as the limit allows.
bool place(std::vector<int>& sources) {
    std::map<int, std::size_t> place_of;
    for (std::size_t index = 0; index < sources.size(); ++index)
        place_of[sources[index]] = index;
    for (std::size_t index = 0; index < sources.size(); ++index) {
        const int target = first_descriptor + static_cast<int>(index);
        const int source = sources[index];
        if (source == target) {
            if (::fcntl(target, F_SETFD, 0) != 0) return false;
            continue;
        }
        if (const auto present = place_of.find(target); present != place_of.end()) {
            const int moved = ::fcntl(target, F_DUPFD_CLOEXEC, target + 1);
            if (moved < 0) return false;
            sources[present->second] = moved;
            place_of[moved] = present->second;
            place_of.erase(present);
        }
        if (::dup2(source, target) < 0) return false;
        place_of.erase(source);
        ::close(source);
    }
    return true;
}

}  // namespace

void Keeper::watch(Fd socket, pid_t daemon) {
    socket_ = std::move(socket);
    daemon_ = daemon;
    pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, daemon, 0)));
    ready_ = true;
    started_at_ = monotonic_now();
}

int Keeper::run() {
    raise_descriptor_limit();
    ::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = handled_signals();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    while (!ended_) {
        if (!running() && monotonic_now() >= start_due_) start();
        wait_for_something();
    }
    return exit_status_of(status_);
}

// ---- The daemon --------------------------------------------------------------------------------

void Keeper::start() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        start_due_ = deadline_after(monotonic_now(), start_delay_most_ns);
        return;
    }
    socket_ = Fd(ends[0]);
    const Fd theirs(ends[1]);
    started_at_ = monotonic_now();
    const pid_t child = ::fork();
    if (child == 0) become_daemon(theirs.get());
    if (child < 0) {
        start_due_ = deadline_after(started_at_, start_delay_most_ns);
        return;
    }
    daemon_ = child;
    status_ = 0;
    pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (ready_) say("starts the daemon again, as pid", child);
}

// In the child: descriptors from 3 on, the way to us first; names beside them; then the program.
void Keeper::become_daemon(int socket) {
    std::vector<int> sources{socket};
    std::string names(kept::keeper);
    for (const auto& [name, fd] : kept_) {
        sources.push_back(fd.get());
        names += ":" + name;
    }
    if (!place(sources)) ::_exit(127);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(sources.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    std::vector<char*> arguments;
    for (std::string& word : command_)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    std::fprintf(stderr, "shmq-keeper: %s: %s\n", arguments.front(), std::strerror(errno));
    ::_exit(127);
}

void Keeper::on_death() {
    take_notices();  // what it said last
    reap();
    const pid_t dead = daemon_;
    daemon_ = -1;
    pidfd_.reset();
    socket_.reset();
    if (stopping_ || !ready_) {
        ended_ = true;
        return;
    }
    const Nanoseconds now = monotonic_now();
    start_due_ = deadline_after(now, back_off_.after(now - started_at_));
    say("the daemon died, pid", dead);
}

// A daemon that hangs up and lives has another keeper, or wants none: two would start two daemons.
// One that is dying closes its descriptors an instant before its pidfd says so.
void Keeper::on_hang_up() {
    pollfd watched{pidfd_ ? pidfd_.get() : -1, POLLIN, 0};
    if (!pidfd_ || ::poll(&watched, 1, hang_up_grace_ms) > 0) return on_death();
    say("the daemon has let go of this keeper, pid", daemon_);
    ended_ = true;
}

// ---- The loop ----------------------------------------------------------------------------------

void Keeper::wait_for_something() {
    if (ended_) return;
    std::array<pollfd, 3> watched{{{signals_.get(), POLLIN, 0},
                                   {socket_ ? socket_.get() : -1, POLLIN, 0},
                                   {pidfd_ ? pidfd_.get() : -1, POLLIN, 0}}};
    int wait_ms = -1;
    if (!running()) {
        const Nanoseconds left = start_due_ - monotonic_now();
        wait_ms =
            static_cast<int>(std::max<Nanoseconds>(0, left) / nanoseconds_per_millisecond) + 1;
    }
    if (::poll(watched.data(), watched.size(), wait_ms) < 0) return;
    if (watched[1].revents != 0) take_notices();
    if (watched[0].revents != 0) take_signals();
    const bool hung_up = (watched[1].revents & POLLHUP) != 0;
    if (running() && watched[2].revents != 0) {
        on_death();
    } else if (running() && hung_up) {
        on_hang_up();
    }
}

void Keeper::take_notices() {
    for (;;) {
        Notice notice;
        Fd fd;
        if (receive_notice(socket_.get(), notice, fd) != NoticeReceived::notice) return;
        ready_ = ready_ || notice.ready;
        stopping_ = stopping_ || notice.stopping;
        if (notice.name.empty()) continue;
        if (notice.store || notice.remove) kept_.erase(notice.name);
        if (notice.store && fd) kept_.emplace(notice.name, std::move(fd));
    }
}

void Keeper::take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        const int number = static_cast<int>(info.ssi_signo);
        if (number == SIGCHLD) reap();
        if (number == SIGHUP) pass_on(SIGHUP);
        if (number != SIGTERM && number != SIGINT) continue;
        // A second time: it does not hear, or is stopped.
        pass_on(told_ ? SIGKILL : SIGTERM);
        told_ = true;
        stopping_ = true;
        if (!running()) ended_ = true;
    }
}

void Keeper::pass_on(int signal) {
    if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

// All of them: as the first process of a container we have children that are not ours.
void Keeper::reap() {
    int status = 0;
    for (;;) {
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid <= 0) return;
        if (pid == daemon_) status_ = status;
    }
}

}  // namespace shmq::daemon
