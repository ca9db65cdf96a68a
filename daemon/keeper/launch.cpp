#include "daemon/keeper/launch.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

namespace shmq::daemon {
namespace {

constexpr int keeper_socket = 3;

void execute(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
}

[[noreturn]] void be_keeper(int socket, const std::vector<std::string>& words) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    // dup2 onto itself would leave it close-on-exec.
    const bool placed = socket == keeper_socket ? ::fcntl(socket, F_SETFD, 0) == 0
                                                : ::dup2(socket, keeper_socket) >= 0;
    if (placed) execute(words);
    ::_exit(127);
}

}  // namespace

std::vector<std::string> own_command(int argument_count, const char* const* arguments) {
    std::vector<std::string> command(arguments, arguments + argument_count);
    std::array<char, PATH_MAX> path{};
    const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
    if (length <= 0 || static_cast<std::size_t>(length) == path.size()) return {};
    if (command.empty()) command.emplace_back();
    command.front().assign(path.data(), static_cast<std::size_t>(length));
    return command;
}

std::string keeper_program(const std::vector<std::string>& command) {
    if (command.empty()) return {};
    const std::string& self = command.front();
    std::string program = self.substr(0, self.rfind('/') + 1) + "shmq-keeper";
    return ::access(program.c_str(), X_OK) == 0 ? program : std::string();
}

void become_keeper(const std::string& program, const std::vector<std::string>& command) {
    std::vector<std::string> words{program};
    words.insert(words.end(), command.begin(), command.end());
    execute(std::move(words));
}

// Two forks: the keeper is no child of ours, so that nobody has to wait for it.
Fd start_keeper(const std::string& program, const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return {};
    Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    std::vector<std::string> words{program, "--watch", std::to_string(::getpid())};
    words.insert(words.end(), command.begin(), command.end());
    const pid_t child = ::fork();
    if (child < 0) return {};
    if (child == 0) {
        const pid_t grandchild = ::fork();
        if (grandchild == 0) be_keeper(theirs.get(), words);
        ::_exit(grandchild < 0 ? 1 : 0);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        errno = EAGAIN;
        return {};
    }
    return ours;
}

}  // namespace shmq::daemon
