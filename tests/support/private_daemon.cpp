#include "support/private_daemon.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <shmq/client.hpp>
#include <thread>

namespace shmq::support {
namespace {

[[noreturn]] void run_daemon(const std::string& binary, const std::string& socket,
                             const std::string& log) {
    // It must not outlive a test that crashed. Told, not killed: this process becomes the keeper,
    // and the daemon would start another one.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execl(binary.c_str(), "shmqd", "--socket", socket.c_str(), nullptr);
    std::_Exit(127);
}

}  // namespace

PrivateDaemon::PrivateDaemon() {
    const std::string binary = SHMQ_TEST_BIN_DIR "/shmqd";
    char pattern[] = "/tmp/shmq-private-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) {
        std::perror("mkdtemp");
        std::exit(1);
    }
    directory_ = pattern;
    socket_ = directory_ + "/socket";
    pid_ = ::fork();
    if (pid_ == 0) run_daemon(binary, socket_, directory_ + "/log");
    for (int tries = 0; tries < 1000; ++tries) {
        if (Client::connect({.socket = socket_}).ok()) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::fprintf(stderr, "%s does not answer on %s; it said:\n%s\n", binary.c_str(),
                 socket_.c_str(), log().c_str());
    std::exit(1);
}

PrivateDaemon::~PrivateDaemon() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string PrivateDaemon::log() const {
    std::ifstream file(directory_ + "/log");
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace shmq::support
