// Takes the place of shmqd where a test asks how a client starts one: notes in files beside its
// socket what it was given, then accepts and hangs up until it is killed.
//   SOCKET.starts  one line a start
//   SOCKET.facts   pid, session, directory, signals, arguments, open descriptors
// With $PRETEND_MUTE it never listens.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

void note_facts(const std::string& socket, int argc, char** argv) {
    std::ofstream facts(socket + ".facts.new");
    facts << "pid " << ::getpid() << "\nsession " << ::getsid(0) << "\ndirectory "
          << std::filesystem::current_path().string() << "\n";
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("SigBlk") || line.starts_with("SigIgn")) facts << line << "\n";
    }
    for (int index = 1; index < argc; ++index)
        facts << "argument " << argv[index] << "\n";
    for (int descriptor = 0; descriptor < 1024; ++descriptor) {
        std::error_code missing;
        const auto target =
            std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), missing);
        if (missing || target.string().ends_with(".facts.new") ||
            target.string().ends_with("/status")) {
            continue;
        }
        facts << "descriptor " << descriptor << " " << target.string() << "\n";
    }
    facts.close();
    std::filesystem::rename(socket + ".facts.new", socket + ".facts");
}

}  // namespace

int main(int argc, char** argv) {
    ::alarm(60);  // nobody may have to clean up after a test that failed
    if (argc < 3 || std::strcmp(argv[1], "--socket") != 0) return 2;
    const std::string socket = argv[2];
    std::ofstream(socket + ".starts", std::ios::app) << "start\n";
    note_facts(socket, argc, argv);
    if (std::getenv("PRETEND_MUTE") != nullptr) {
        ::pause();
        return 0;
    }
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 16) != 0) {
        return 1;
    }
    while (true)
        ::close(::accept(listener, nullptr, nullptr));
}
