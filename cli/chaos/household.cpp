#include "cli/chaos/household.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <shmq/client.hpp>

namespace shmq::chaos {
namespace {

constexpr std::chrono::seconds patience{30};

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
        std::ifstream file(task.path() / "children");
        for (pid_t child = 0; file >> child;)
            children.push_back(child);
    }
    return children;
}

// Name and state as the kernel tells them: a process that has ended is none.
bool runs_as(pid_t pid, std::string_view name) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const std::string wanted = " (" + std::string(name) + ") ";
    const std::size_t at = stat.find(wanted);
    return at != std::string::npos && stat[at + wanted.size()] != 'Z';
}

bool is_dead_orphan(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    return stat.find(" (shmqd) Z ") != std::string::npos ||
           stat.find(" (shmq-keeper) Z ") != std::string::npos;
}

// The keeper is our child, or the daemon's orphan and so our child; the daemon either's child.
pid_t find(std::string_view name) {
    for (const pid_t child : children_of(::getpid())) {
        // Orphans of the killed are ours to bury.
        if (is_dead_orphan(child)) ::waitpid(child, nullptr, 0);
        if (runs_as(child, name)) return child;
        for (const pid_t grandchild : children_of(child)) {
            if (runs_as(grandchild, name)) return grandchild;
        }
    }
    return -1;
}

template <typename Done>
bool eventually(Done done) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

}  // namespace

Household::Household(std::string daemon_program) : program_(std::move(daemon_program)) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::string pattern = std::filesystem::temp_directory_path() / "shmq-chaos-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory " + pattern);
    directory_ = pattern;
    socket_ = directory_ + "/socket";
    start();
    const bool answers = eventually([&] { return Client::connect({.socket = socket_}).ok(); });
    if (answers) return;
    const std::string said = log();
    end();
    throw std::runtime_error(program_ + " does not answer: " + said);
}

Household::~Household() {
    end();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void Household::start() {
    const std::string log = directory_ + "/log";
    const pid_t pid = ::fork();
    if (pid != 0) return;
    // Told, not killed: a daemon whose keeper is killed starts another.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::signal(SIGINT, SIG_IGN);  // Ctrl-C ends the run in order, and us with it
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execl(program_.c_str(), "shmqd", "--socket", socket_.c_str(), nullptr);
    ::_exit(127);
}

std::string Household::log() const {
    std::ifstream file(directory_ + "/log");
    return {std::istreambuf_iterator<char>(file), {}};
}

pid_t Household::daemon() const {
    return find("shmqd");
}

pid_t Household::keeper() const {
    return find("shmq-keeper");
}

bool Household::revive() {
    if (daemon() > 0 || keeper() > 0) return false;
    start();
    return true;
}

bool Household::end() {
    return eventually([&] {
        const pid_t running = daemon() > 0 ? daemon() : keeper();
        if (running > 0) ::kill(running, SIGTERM);
        return running <= 0;
    });
}

}  // namespace shmq::chaos
