#include "client/daemon_start.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace shmq {
namespace {

constexpr Nanoseconds lock_pause_ns = 10 * nanoseconds_per_millisecond;
constexpr Nanoseconds answer_pause_ns = 5 * nanoseconds_per_millisecond;
constexpr const char* idle_exit = "60s";

Error system_failure(const std::string& what) {
    const int number = errno;
    return {Condition::system_error, what + ": " + std::strerror(number), number};
}

Result<void> make_directory(const Endpoint& endpoint) {
    const std::string directory = endpoint.directory();
    // root's daemon is the system's: others must reach its socket. Everybody else's is private.
    const mode_t mode = ::geteuid() == 0 && !endpoint.in_tmp ? 0755 : 0700;
    if (::mkdir(directory.c_str(), mode) != 0 && errno != EEXIST) {
        const int number = errno;
        return Error(Condition::no_daemon,
                     "no daemon answers, and none can be started: cannot make " + directory + ": " +
                         std::strerror(number) +
                         "; set XDG_RUNTIME_DIR to a directory of yours, or start shmqd yourself "
                         "and name its socket in SHMQ_SOCKET",
                     number);
    }
    if (endpoint.in_tmp) return check_private_directory(directory);
    return {};
}

bool is_program(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
}

// Whether only root and we could have put this file where it is. Without this, a program run from
// /tmp would start anybody's /tmp/shmqd.
bool is_ours(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return false;
    return (status.st_uid == 0 || status.st_uid == ::geteuid()) && (status.st_mode & S_IWOTH) == 0;
}

std::string beside_own_program() {
    std::array<char, PATH_MAX> path{};
    const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
    if (length <= 0 || static_cast<std::size_t>(length) == path.size()) return {};
    const std::string program(path.data(), static_cast<std::size_t>(length));
    return program.substr(0, program.rfind('/') + 1) + "shmqd";
}

// What the new process sends back before it is a daemon: its pid, or why it could not become one.
struct Report {
    enum Kind : int { started, failed } kind;
    int value;
};

struct Launch {
    const char* program;
    std::array<char*, 6> arguments;
    int null;
    int log;
    int report;
};

void send_report(int pipe, Report report) {
    [[maybe_unused]] const ssize_t count = ::write(pipe, &report, sizeof report);
}

// Runs in the new process, in a copy of a program that may have had threads: system calls only.
[[noreturn]] void become_daemon(const Launch& launch) {
    for (int number = 1; number < NSIG; ++number) {
        if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    constexpr int report = 3;
    const bool prepared =
        ::chdir("/") == 0 && ::dup2(launch.null, STDIN_FILENO) >= 0 &&
        ::dup2(launch.null, STDOUT_FILENO) >= 0 && ::dup2(launch.log, STDERR_FILENO) >= 0 &&
        (launch.report == report || ::dup3(launch.report, report, O_CLOEXEC) >= 0) &&
        ::close_range(report + 1, ~0U, 0) == 0;
    if (prepared) ::execve(launch.program, launch.arguments.data(), environ);
    send_report(prepared ? report : launch.report, {Report::failed, errno});
    ::_exit(127);
}

// Two forks: the daemon must be no child of ours, or it would be left a zombie in a program that
// does not know of it, and surprise one that waits for all its children. posix_spawn cannot do
// that. _Fork, so that no handler of the program runs for processes that are not its own.
Result<void> launch_detached(const Launch& launch) {
    const pid_t child = ::_Fork();
    if (child < 0) return system_failure("cannot start shmqd: fork");
    if (child == 0) {
        ::setsid();
        const pid_t grandchild = ::_Fork();
        if (grandchild == 0) become_daemon(launch);
        send_report(launch.report, grandchild > 0 ? Report{Report::started, grandchild}
                                                  : Report{Report::failed, errno});
        ::_exit(0);
    }
    // A program that ignores SIGCHLD, or waits for everybody, may have been faster: ECHILD is fine.
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    return {};
}

// The descriptor again, where it does not collide with the standard ones of the new process.
Fd above_standard(Fd descriptor) {
    if (!descriptor || descriptor.get() > STDERR_FILENO) return descriptor;
    return Fd(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

class Starting {
  public:
    Starting(std::string program, const Endpoint& endpoint)
        : program_(std::move(program)),
          socket_(endpoint.socket),
          log_path_(endpoint.directory() + "/shmqd.log") {}

    Result<void> launch();
    // Until it accepts, dies, or the deadline comes.
    Result<Fd> wait_for_answer(Nanoseconds deadline);

  private:
    void read_reports();
    bool ended() const;
    Error failure(Condition condition, const std::string& what, int number = 0) const;

    std::string program_;
    std::string socket_;
    std::string log_path_;
    Fd reports_;
    Fd process_;
    std::optional<int> pid_;
    std::optional<int> failed_errno_;
};

Result<void> Starting::launch() {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return system_failure("cannot start shmqd: pipe");
    reports_ = Fd(pipe[0]);
    const Fd report = above_standard(Fd(pipe[1]));
    const Fd null = above_standard(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
    if (!report || !null) return system_failure("cannot start shmqd: /dev/null");
    const Fd log = above_standard(Fd(
        ::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)));
    if (!log) return system_failure("cannot start shmqd: its log " + log_path_);
    ::fcntl(reports_.get(), F_SETFL, O_NONBLOCK);

    std::string socket_flag = "--socket";
    std::string idle_flag = "--idle-exit";
    std::string idle_value = idle_exit;
    const Launch launch{program_.c_str(),
                        {program_.data(), socket_flag.data(), socket_.data(), idle_flag.data(),
                         idle_value.data(), nullptr},
                        null.get(),
                        log.get(),
                        report.get()};
    return launch_detached(launch);
}

void Starting::read_reports() {
    Report report{};
    while (::read(reports_.get(), &report, sizeof report) == static_cast<ssize_t>(sizeof report)) {
        if (report.kind == Report::failed) {
            failed_errno_ = report.value;
        } else {
            pid_ = report.value;
            process_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, report.value, 0)));
        }
    }
}

bool Starting::ended() const {
    if (!pid_) return false;
    if (!process_) return ::kill(*pid_, 0) != 0 && errno == ESRCH;
    pollfd watched{process_.get(), POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0;
}

Error Starting::failure(Condition condition, const std::string& what, int number) const {
    return {condition, "no daemon answers on " + socket_ + ", and " + program_ + " " + what,
            number};
}

Result<Fd> Starting::wait_for_answer(Nanoseconds deadline) {
    while (true) {
        read_reports();
        // Asked before connecting: one that has died may have found another in its place.
        const bool dead = ended();
        if (auto socket = connect_socket(socket_, deadline)) return std::move(*socket);
        if (failed_errno_) {
            return failure(Condition::no_daemon,
                           std::string("cannot be run: ") + std::strerror(*failed_errno_) +
                               "; set SHMQ_SHMQD to the daemon's program",
                           *failed_errno_);
        }
        if (dead) {
            return failure(Condition::no_daemon, "ended at once; " + log_path_ + " says why");
        }
        if (!sleep_before(deadline, answer_pause_ns)) {
            return failure(Condition::timed_out,
                           "was started but does not answer in time; see " + log_path_);
        }
    }
}

}  // namespace

Result<Fd> take_start_lock(const std::string& directory, Nanoseconds deadline) {
    const std::string path = directory + "/start.lock";
    Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) return system_failure("cannot open " + path);
    while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return system_failure("cannot lock " + path);
        if (!sleep_before(deadline, lock_pause_ns)) {
            return Error(Condition::timed_out,
                         "another process is starting the daemon and does not finish: it holds " +
                             path + " (`fuser " + path + "` tells which)");
        }
    }
    return lock;
}

Result<std::string> find_daemon_program() {
    const char* named = ::secure_getenv("SHMQ_SHMQD");
    if (named != nullptr && *named != '\0') {
        // The daemon starts in another directory, so a relative path must become a whole one here.
        std::array<char, PATH_MAX> whole{};
        if (is_program(named) && ::realpath(named, whole.data()) != nullptr) {
            return std::string(whole.data());
        }
        return Error(Condition::no_daemon, std::string("no daemon answers, and SHMQ_SHMQD names ") +
                                               named + ", which is no program that can be run");
    }
    const std::string beside = beside_own_program();
    if (!beside.empty() && is_program(beside) && is_ours(beside)) return beside;
    if (is_program(SHMQ_DAEMON_PATH)) return std::string(SHMQ_DAEMON_PATH);
    const char* variable = ::secure_getenv("PATH");
    const std::string path = variable == nullptr ? "" : variable;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const std::string program = path.substr(begin, end - begin) + "/shmqd";
        begin = end + 1;
        if (program.starts_with('/') && program != "/shmqd" && is_program(program)) return program;
    }
    return Error(Condition::no_daemon,
                 "no daemon answers, and no shmqd to start was found: not as " + beside +
                     ", not as " SHMQ_DAEMON_PATH
                     ", not on PATH; set SHMQ_SHMQD to the daemon's program, or start it yourself "
                     "and name its socket in SHMQ_SOCKET");
}

Result<Fd> start_daemon(const Endpoint& endpoint, Nanoseconds deadline) {
    auto directory = make_directory(endpoint);
    if (!directory) return directory.error();
    auto lock = take_start_lock(endpoint.directory(), deadline);
    if (!lock) return lock.error();
    // Whoever held the lock before us may have started it.
    if (auto socket = connect_socket(endpoint.socket, deadline)) return std::move(*socket);
    auto program = find_daemon_program();
    if (!program) return program.error();
    Starting starting(*program, endpoint);
    auto launched = starting.launch();
    if (!launched) return launched.error();
    return starting.wait_for_answer(deadline);
}

}  // namespace shmq
