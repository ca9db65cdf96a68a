#include <fmt/format.h>

#include "daemon/configuration/configuration.hpp"
#include "daemon/configuration/setting.hpp"
#include "daemon/configuration/setting_values.hpp"

namespace shmq::daemon {
namespace {

// `with_help`: each with its lines above, and what is not said as a comment.
template <typename Target>
std::string lines_of(std::span<const Setting<Target>> settings, std::string_view table,
                     const Target& target, bool with_help) {
    std::string text;
    for (const Setting<Target>& setting : settings) {
        if (setting.table != table) continue;
        const std::string value = setting.show(target);
        if (with_help) {
            std::string help(setting.help);
            for (std::size_t at = help.find('\n'); at != std::string::npos;
                 at = help.find('\n', at + 1)) {
                help.replace(at, 1, "\n# ");
                at += 2;
            }
            text += fmt::format("# {}\n", help);
            if (value.empty()) text += fmt::format("#{} = {}\n", setting.name, setting.example);
        }
        if (!value.empty()) text += fmt::format("{} = {}\n", setting.name, value);
        if (with_help) text += "\n";
    }
    return text;
}

}  // namespace

std::string print_configuration(const Options& options) {
    std::string text =
        "# What shmqd goes by: shmqd.toml(5). Comments with a value show what can be said, and is "
        "not.\n\n";
    text += lines_of<Options>(daemon_settings(), "", options, true);
    text += "# Of each uid.\n[limits]\n" +
            lines_of<Options>(daemon_settings(), "limits", options, true);
    text += "# Numbers for Prometheus: docs/metrics.md.\n[metrics]\n" +
            lines_of<Options>(daemon_settings(), "metrics", options, true);
    text += "# Of queues whose makers do not say.\n[defaults]\n" +
            lines_of<wire::Options>(queue_settings(), "", options.queue_defaults, true);
    text +=
        "# Queues that are made where they are missing, at start and at reload: the keys of\n"
        "# [defaults], and owner.\n";
    if (options.queues.empty()) text += "#[queue.\"jobs/images\"]\n";
    for (const DeclaredQueue& queue : options.queues) {
        text += fmt::format("\n[queue.{}]\n", quoted_value(queue.name));
        text += lines_of<DeclaredQueue>(declared_queue_settings(), "", queue, false);
        text += lines_of<wire::Options>(queue_settings(), "", queue.options, false);
    }
    return text;
}

}  // namespace shmq::daemon
