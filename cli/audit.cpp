// shmq audit [NAME] [--pid PID]: proves every invariant of a queue's memory, whoever is running,
// and names each one that is broken. Exit: 0 sound, 1 damaged or not to be had, 3 that process
// holds none, 4 no daemon answers and no process was named.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "shm/audit.hpp"

namespace shmq::cli {
namespace {

constexpr auto second_look_after = std::chrono::milliseconds(50);

struct AuditOptions {
    std::string name;
    std::optional<std::uint64_t> pid;
    bool idle = false;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq audit\n"
    "  shmq audit jobs --pid $(pgrep -o shmq-keeper)\n"
    "  shmq audit jobs --idle --json | jq '.[].broken'";

// What is broken stays so; what is only in motion does not: both looks must have seen it.
std::vector<std::string> broken_in(const Memory& memory, bool idle) {
    if (memory.segment == nullptr) return {memory.problem};
    const std::vector<std::string> first = shm::audit(*memory.segment, idle);
    if (first.empty()) return {};
    std::this_thread::sleep_for(second_look_after);
    const std::vector<std::string> second = shm::audit(*memory.segment, idle);
    std::vector<std::string> both;
    std::copy_if(first.begin(), first.end(), std::back_inserter(both), [&](const auto& each) {
        return std::find(second.begin(), second.end(), each) != second.end();
    });
    return both;
}

Exit audit(const Context& context, const AuditOptions& options) {
    const auto pid =
        options.pid ? std::optional(static_cast<std::uint32_t>(*options.pid)) : std::nullopt;
    bool sound = true;
    Json all = Json::array();
    for (const Memory& memory : open_memory(context, options.name, pid)) {
        const std::vector<std::string> broken = broken_in(memory, options.idle);
        sound = sound && broken.empty();
        if (!options.json) {
            print(fmt::format(
                "{}: {}\n", memory.queue,
                broken.empty() ? "sound" : fmt::format("{} invariants broken", broken.size())));
            for (const std::string& each : broken)
                print(fmt::format("  {}\n", escape(each)));
            continue;
        }
        Json list = Json::array();
        for (const std::string& each : broken)
            list.push(Json::text_value(each));
        Json json = Json::object();
        json.add("name", memory.queue).add("through", memory.through);
        json.add("sound", broken.empty()).add("broken", std::move(list));
        all.push(std::move(json));
    }
    if (options.json) print(all.text());
    if (!sound) complain("damage was found; 'shmq dump NAME' shows the memory");
    return sound ? Exit::done : Exit::failed;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<AuditOptions>();
    command.optional_name(options->name, "Name of the queue (default: all)");
    command.count("--pid", "PID",
                  "Through what this process holds, the keeper or any client: needs no daemon",
                  options->pid);
    command.flag("--idle", "Nobody is at work: also what holds only then", options->idle);
    command.json(options->json);
    return [options, &context] { return audit(context, *options); };
}

}  // namespace

constinit const Verb audit_verb{"audit", "Prove that a queue's memory is sound", example, prepare};

}  // namespace shmq::cli
