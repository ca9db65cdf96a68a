#include "processes.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace demo {
namespace {

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::exit(1);
}

volatile pid_t watched_daemon = 0;

void watchdog_bites(int) {
    constexpr char text[] = "\nshmq_demo: not finished in time: given up\n";
    static_cast<void>(!::write(STDERR_FILENO, text, sizeof(text) - 1));
    if (watched_daemon > 0) ::kill(watched_daemon, SIGTERM);
    ::_exit(1);
}

void die_with_parent(pid_t parent, int signal) {
    ::prctl(PR_SET_PDEATHSIG, signal);
    if (::getppid() != parent) ::_exit(1);  // it was dead before we asked
}

}  // namespace

Child Child::run(const std::function<int()>& work) {
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) give_up("shmq_demo: fork");
    if (pid == 0) {
        die_with_parent(parent, SIGKILL);
        std::signal(SIGINT, SIG_DFL);
        std::signal(SIGTERM, SIG_DFL);
        const int status = work();
        std::fflush(nullptr);
        ::_exit(status);
    }
    return Child(pid, false);
}

Child Child::start(const std::string& program, const std::string& socket, const std::string& log,
                   bool outlives_us) {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) give_up("shmq_demo: fork");
    if (pid == 0) {
        if (outlives_us) {
            ::setsid();  // a Ctrl-C that ends us is not meant for it
        } else {
            die_with_parent(parent, SIGTERM);
        }
        const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file >= 0) {
            ::dup2(file, STDOUT_FILENO);
            ::dup2(file, STDERR_FILENO);
        }
        ::execl(program.c_str(), program.c_str(), "--socket", socket.c_str(), nullptr);
        std::perror(program.c_str());
        ::_exit(127);
    }
    return Child(pid, outlives_us);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      outlives_us_(other.outlives_us_),
      status_(other.status_) {}

Child::~Child() {
    if (pid_ <= 0 || outlives_us_ || ended()) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
    if (!status_) ::kill(pid_, number);
}

std::optional<int> Child::ended() {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    return status_;
}

std::optional<int> Child::wait_until(TimePoint deadline) {
    while (!ended() && std::chrono::steady_clock::now() < deadline)
        pause_for(std::chrono::milliseconds(1));
    return status_;
}

std::string own_folder() {
    char path[PATH_MAX];
    const ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
    if (length <= 0) give_up("shmq_demo: /proc/self/exe");
    const std::string program(path, static_cast<std::size_t>(length));
    return program.substr(0, program.rfind('/') + 1);
}

void set_watchdog(unsigned seconds, pid_t daemon) {
    watched_daemon = daemon;
    std::signal(SIGALRM, watchdog_bites);
    ::alarm(seconds);
}

void pause_for(std::chrono::nanoseconds time) {
    const timespec pause{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
    ::nanosleep(&pause, nullptr);
}

}  // namespace demo
