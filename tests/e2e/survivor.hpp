// A shmqd that has a keeper, as users start it, and a test that sees every process of theirs: what
// is orphaned becomes the test's own child.
#pragma once

#include <dirent.h>
#include <sys/prctl.h>

#include <fstream>
#include <set>
#include <shmq/client.hpp>

#include "e2e/daemon_process.hpp"

namespace shmq::daemon::test {

inline std::string name_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

inline pid_t parent_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
    }
    return 0;
}

// All processes below this one, the dead that nobody waited for excepted.
inline std::set<pid_t> descendants() {
    std::set<pid_t> found;
    DIR* directory = ::opendir("/proc");
    while (const dirent* entry = ::readdir(directory)) {
        const pid_t pid = std::atoi(entry->d_name);
        pid_t above = pid;
        while (above > 1 && above != ::getpid())
            above = parent_of(above);
        std::ifstream file("/proc/" + std::string(entry->d_name) + "/stat");
        std::string stat;
        std::getline(file, stat);
        const bool zombie = stat.find(") Z ") != std::string::npos;
        if (pid > 0 && pid != ::getpid() && above == ::getpid() && !zombie) found.insert(pid);
    }
    ::closedir(directory);
    return found;
}

inline pid_t descendant_named(const std::string& name, pid_t but_not = -1) {
    pid_t found = -1;
    eventually([&] {
        for (const pid_t pid : descendants()) {
            if (pid != but_not && name_of(pid) == name) found = pid;
        }
        return found > 0;
    });
    return found;
}

class Survivor {
  public:
    // `before_exec`: where the daemon is to live. In another pid namespace its pid is not ours, and
    // daemon(), kill_daemon() and kill_both() are not to be used.
    explicit Survivor(
        const TemporaryDirectory& directory, std::function<void()> before_exec = [] {})
        : socket_(directory / "socket"),
          log_(directory / "log"),
          before_exec_(std::move(before_exec)) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        start();
    }
    ~Survivor() {
        const auto any = descendants();
        for (const pid_t pid : any) {
            if (name_of(pid) == "shmqd") ::kill(pid, SIGTERM);
        }
        wait_until_nobody_is_left();
    }
    Survivor(const Survivor&) = delete;
    Survivor& operator=(const Survivor&) = delete;

    void start() {
        const pid_t pid = ::fork();
        if (pid != 0) return;
        before_exec_();
        // Told, not killed: else the daemon would start another keeper, and both outlive us.
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(log, STDERR_FILENO);
        ::execl(daemon_program().c_str(), "shmqd", "--socket", socket_.c_str(), nullptr);
        ::_exit(127);
    }
    // The daemon that answers now.
    pid_t daemon() const {
        pid_t pid = -1;
        EXPECT_TRUE(eventually([&] {
            auto client = shmq::Client::connect({.socket = socket_});
            if (!client) return false;
            const auto status = client->status();
            if (status) pid = static_cast<pid_t>(status->pid);
            return pid > 0;
        })) << log();
        return pid;
    }
    pid_t keeper(pid_t but_not = -1) const { return descendant_named("shmq-keeper", but_not); }
    // Waits for its successor.
    void kill_daemon() {
        const pid_t dead = daemon();
        ::kill(dead, SIGKILL);
        EXPECT_TRUE(eventually([&] { return daemon() != dead; })) << log();
    }
    // Stopped first, so that neither can start the other.
    void kill_both() {
        const pid_t one = daemon();
        const pid_t other = keeper();
        ::kill(other, SIGSTOP);
        ::kill(one, SIGKILL);
        ::kill(other, SIGKILL);
        wait_until_nobody_is_left();
    }
    const std::string& socket() const { return socket_; }
    std::string log() const {
        std::stringstream text;
        text << std::ifstream(log_).rdbuf();
        return text.str();
    }

    void wait_until_nobody_is_left() {
        EXPECT_TRUE(eventually([] {
            for (const pid_t pid : descendants()) {
                const std::string name = name_of(pid);
                if (name == "shmqd" || name == "shmq-keeper") return false;
            }
            return true;
        })) << log();
    }

  private:
    std::string socket_;
    std::string log_;
    std::function<void()> before_exec_;
};

}  // namespace shmq::daemon::test
