// shmq release --pid PID [NAME]: gives back what a process holds, in one queue or in all that you
// may manage. The process goes on; its handles are stale. Exit: 0 done, 1 no right, 3 it held
// nothing.
#include <charconv>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

struct ReleaseOptions {
    std::uint32_t pid = 0;
    std::vector<std::string> names;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq release --pid 4711\n"
    "  shmq release --pid 4711 jobs";

std::uint32_t pid_in(const std::string& text) {
    std::uint32_t pid = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || pid == 0) {
        throw BadValue(fmt::format("'{}' is no process's number", escape(text)));
    }
    return pid;
}

Exit release(const Context& context, const ReleaseOptions& options) {
    if (options.pid == 0) throw Failure(Exit::usage, "release: whose? give --pid");
    if (options.names.size() > 1) throw Failure(Exit::usage, "release: one queue at a time");
    const std::string name = options.names.empty() ? "" : options.names.front();
    if (!name.empty()) {
        if (const std::string wrong = check_queue_name(name); !wrong.empty()) {
            throw Failure(Exit::usage, fmt::format("release: {}", wrong));
        }
    }
    Client client = context.connect();
    const std::uint64_t released = need(SessionAccess::of(client)->release(options.pid, name));
    if (options.json) {
        print(Json::object().add("pid", options.pid).add("released", released).text());
    } else {
        print(fmt::format("released {} {}\n", format_count(released),
                          released == 1 ? "message" : "messages"));
    }
    return released == 0 ? Exit::nothing : Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<ReleaseOptions>();
    command.words("NAME", "Of that queue only", options->names);
    command.value("--pid", "PID", "Of that process",
                  [options](const std::string& text) { options->pid = pid_in(text); });
    command.json(options->json);
    return [options, &context] { return release(context, *options); };
}

}  // namespace

constinit const Verb release_verb{"release", "Give back what a process holds", example, prepare};

}  // namespace shmq::cli
