// shmq-keeper: started by shmqd, not by people. `shmq-keeper PROGRAM ARGUMENT...` starts that
// daemon; `shmq-keeper --watch PID PROGRAM ARGUMENT...` takes over a running one, whose socket is
// descriptor 3.
#include <sys/prctl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/version.hpp"
#include "daemon/keeper/keeper.hpp"

namespace {

constexpr const char* usage =
    "shmq-keeper is started by shmqd and keeps its queues when it dies\n"
    "Usage: shmq-keeper [--watch PID] PROGRAM [ARGUMENT...]\n"
    "       shmq-keeper --help | --version\n";

// What `ps` shows of us, and `pkill -f` looks at: not the daemon's command line, or whoever kills
// the daemon by its name would kill us along with it.
void hide_arguments(int argument_count, char** arguments) {
    for (int index = 1; index < argument_count; ++index)
        std::memset(arguments[index], 0, std::strlen(arguments[index]));
    ::prctl(PR_SET_NAME, "shmq-keeper");
}

}  // namespace

int main(int argument_count, char** arguments) {
    std::vector<std::string> words(arguments + 1, arguments + argument_count);
    if (words.size() == 1 && words.front() == "--help") return std::fputs(usage, stdout) < 0;
    if (words.size() == 1 && words.front() == "--version") {
        return std::printf("shmq-keeper %s\n", shmq::version_text()) < 0;
    }
    const bool watches = words.size() > 2 && words.front() == "--watch";
    if (words.empty() || (!watches && words.front().starts_with('-'))) {
        std::fputs(usage, stderr);
        return 2;
    }
    hide_arguments(argument_count, arguments);
    if (!watches) return shmq::daemon::Keeper(std::move(words)).run();
    const int daemon = std::atoi(words[1].c_str());
    words.erase(words.begin(), words.begin() + 2);
    shmq::daemon::Keeper keeper(std::move(words));
    keeper.watch(shmq::Fd(3), daemon);
    return keeper.run();
}
