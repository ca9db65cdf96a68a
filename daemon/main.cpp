#include <unistd.h>

#include <algorithm>
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

// What a successor of this daemon is started with: where queues lie and users come is not for a
// file to change between the two.
std::vector<std::string> pinned(std::vector<std::string> command, const Options& options) {
    if (command.empty()) return command;
    const auto pin = [&command](const std::string& name, const std::string& value) {
        const bool said = std::any_of(command.begin(), command.end(), [&](const auto& word) {
            return word == name || word.starts_with(name + "=");
        });
        if (said || value.empty()) return;
        command.push_back(name);
        command.push_back(value);
    };
    pin("--socket", options.socket);
    pin("--state-dir", options.state_directory);
    return command;
}

// A successor does not refuse for a word that was written since its predecessor began: the queues
// that were kept for it would be lost. Nor does who was started by a keeper, which would not know.
bool accept_complaints(const std::vector<std::string>& complaints, const Survival& survival) {
    for (const std::string& complaint : complaints)
        log().error("{}", complaint);
    if (complaints.empty()) return true;
    const bool succeeds =
        std::any_of(survival.inherited.begin(), survival.inherited.end(), [](const auto& kept) {
            return kept_id(kept.first, kept::ring) != 0 || kept.first == kept::keeper;
        });
    if (succeeds) log().error("the configuration is not taken: the queues there are come first");
    return succeeds;
}

}  // namespace

int main(int argument_count, char** arguments) {
    auto parsed = parse_options(argument_count, arguments);
    if (parsed.exit_status) return *parsed.exit_status;
    parsed.options.handle_signals = true;
    set_log_level(parsed.options.log_level);
    // Before anybody becomes a keeper for it.
    const bool successor = std::getenv("LISTEN_FDS") != nullptr;
    if (!successor && !accept_complaints(parsed.complaints, {})) return 1;
    Survival survival = find_survival(
        parsed.options.keeper, pinned(own_command(argument_count, arguments), parsed.options));
    if (successor && !accept_complaints(parsed.complaints, survival)) return 1;
    Daemon daemon(std::move(parsed.options), std::move(survival));
    daemon.on_reload([=] { return reload_options(argument_count, arguments); });
    return daemon.run();
}
