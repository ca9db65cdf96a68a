#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "daemon/daemon.hpp"
#include "daemon/keeper/launch.hpp"
#include "daemon/log.hpp"
#include "daemon/options.hpp"

namespace {

using namespace shmq::daemon;

// Who keeps what has to outlive this process: the service manager, if there is one; else a keeper.
// Started by hand, this process becomes the keeper and starts the daemon as its child.
Survival find_survival(bool wants_keeper, const std::vector<std::string>& command) {
    Survival survival;
    survival.inherited = take_inherited();
    if (const char* manager = std::getenv("NOTIFY_SOCKET"); manager != nullptr) {
        survival.manager = manager;
        survival.watchdog_ns = take_watchdog();
        return survival;
    }
    const std::string program = keeper_program(command);
    const bool has_keeper = survival.inherited.contains(std::string(kept::keeper));
    if (!has_keeper && !wants_keeper) return survival;
    if (program.empty()) {
        log().warn("there is no shmq-keeper beside this program: queues end with this process");
    } else {
        if (!has_keeper && survival.inherited.empty()) become_keeper(program, command);
        survival.new_keeper = [program, command] { return start_keeper(program, command); };
    }
    return survival;
}

}  // namespace

int main(int argument_count, char** arguments) {
    auto parsed = parse_options(argument_count, arguments);
    if (parsed.exit_status) return *parsed.exit_status;
    parsed.options.handle_signals = true;
    set_log_level(parsed.options.log_level);
    Survival survival =
        find_survival(parsed.options.keeper, own_command(argument_count, arguments));
    return Daemon(std::move(parsed.options), std::move(survival)).run();
}
