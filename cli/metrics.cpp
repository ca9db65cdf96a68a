// shmq metrics: the numbers of the daemon and of its queues, as Prometheus reads them.
// Exit: 0 printed, 4 no daemon.
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example =
    "  shmq metrics\n"
    "  shmq metrics | grep oldest_ready";

Action prepare(Options&, const Context& context) {
    return [&context] {
        Client client = context.connect(/*start_daemon=*/false);
        print(need(SessionAccess::of(client)->metrics()));
        return Exit::done;
    };
}

}  // namespace

constinit const Verb metrics_verb{"metrics", "Numbers for a Prometheus server", example, prepare};

}  // namespace shmq::cli
