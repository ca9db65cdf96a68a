#include <utility>

#include "daemon/daemon.hpp"
#include "daemon/log.hpp"
#include "daemon/options.hpp"

int main(int argument_count, char** arguments) {
    auto parsed = shmq::daemon::parse_options(argument_count, arguments);
    if (parsed.exit_status) return *parsed.exit_status;
    parsed.options.handle_signals = true;
    shmq::daemon::set_log_level(parsed.options.log_level);
    return shmq::daemon::Daemon(std::move(parsed.options)).run();
}
