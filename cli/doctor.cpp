// shmq doctor [--json]: looks at everything that shmq needs of this machine, and says what to do.
// Exit: 0 nothing is broken, 1 something is.
#include "cli/doctor.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example =
    "  shmq doctor\n"
    "  shmq doctor --json | jq '.[] | select(.health != \"good\")'";

constexpr auto health_names =
    std::to_array<std::string_view>({"good", "note", "warning", "broken"});

std::string_view name_of(Health health) {
    return health_names[static_cast<std::size_t>(health)];
}

std::string json_of(const std::vector<Finding>& findings) {
    Json all = Json::array();
    for (const Finding& finding : findings) {
        Json json = Json::object();
        json.add("check", finding.check)
            .add("health", name_of(finding.health))
            .add("text", finding.text);
        finding.remedy.empty() ? json.add_null("remedy") : json.add("remedy", finding.remedy);
        all.push(std::move(json));
    }
    return all.text();
}

std::string text_of(const std::vector<Finding>& findings) {
    constexpr std::size_t check_width = 16;
    constexpr std::size_t column = 9 + check_width;
    const std::size_t width = terminal_width() > column + 20 ? terminal_width() - column : 0;
    const auto indented = [&](std::string_view text) {
        std::string out;
        for (const char c : wrap(text, width)) {
            out += c;
            if (c == '\n') out += std::string(column, ' ');
        }
        return out;
    };
    std::string out;
    for (const Finding& finding : findings) {
        std::string line = fmt::format("{:<9}{:<{}}{}\n", name_of(finding.health), finding.check,
                                       check_width, indented(escape(finding.text)));
        if (!finding.remedy.empty()) {
            line += fmt::format("{}{}\n", std::string(column, ' '),
                                indented("-> " + escape(finding.remedy)));
        }
        const bool bad = finding.health == Health::broken || finding.health == Health::warning;
        out += bad && coloured() ? as_alarm(line) : line;
    }
    return out;
}

Exit examine(const Context& context, bool json) {
    DaemonFindings daemon = examine_daemon(context);
    std::vector<Finding> findings = examine_machine(daemon.pid);
    std::move(daemon.findings.begin(), daemon.findings.end(), std::back_inserter(findings));
    print(json ? json_of(findings) : text_of(findings));
    const auto broken = std::count_if(findings.begin(), findings.end(), [](const Finding& each) {
        return each.health == Health::broken;
    });
    if (broken == 0) return Exit::done;
    complain(fmt::format("doctor: {} {} broken", broken, broken == 1 ? "thing is" : "things are"));
    return Exit::failed;
}

Action prepare(Options& command, const Context& context) {
    auto json = std::make_shared<bool>(false);
    command.json(*json);
    return [json, &context] { return examine(context, *json); };
}

}  // namespace

constinit const Verb doctor_verb{"doctor", "Look for what is wrong here, and say what to do",
                                 example, prepare};

}  // namespace shmq::cli
