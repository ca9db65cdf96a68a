// What shmqd.toml may say of the daemon itself.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "daemon/configuration/setting.hpp"
#include "daemon/configuration/setting_values.hpp"
#include "daemon/metrics/http.hpp"

namespace shmq::daemon {
namespace {

constexpr std::array<std::string_view, 6> log_levels = {"trace", "debug", "info",
                                                        "warn",  "error", "off"};
constexpr std::array<std::string_view, 3> loops = {"auto", "uring", "epoll"};
// In the order of IoChoice.
static_assert(static_cast<int>(IoChoice::automatic) == 0 &&
              static_cast<int>(IoChoice::uring) == 1 && static_cast<int>(IoChoice::epoll) == 2);

using DaemonSetting = Setting<Options>;

DaemonSetting path(std::string_view name, std::string_view example, std::string_view help,
                   std::string Options::*member) {
    return {"",
            name,
            example,
            help,
            [member](const ConfigurationValue& value, Options& options) {
                return take_text(value, options.*member);
            },
            [member](const Options& options) {
                const std::string& path = options.*member;
                return path.empty() ? std::string() : quoted_value(path);
            }};
}

template <std::size_t size, typename Get, typename Put>
DaemonSetting choice(std::string_view name, std::string_view help,
                     const std::array<std::string_view, size>& tokens, Get get, Put put) {
    return {"",
            name,
            "",
            help,
            [&tokens, put](const ConfigurationValue& value, Options& options) {
                std::size_t index = 0;
                std::string wrong = take_choice(value, tokens, index);
                if (wrong.empty()) put(options, index);
                return wrong;
            },
            [get](const Options& options) { return quoted_value(get(options)); }};
}

DaemonSetting count(std::string_view name, std::string_view help, std::uint32_t Quotas::*member) {
    return {"limits",
            name,
            "",
            help,
            [member](const ConfigurationValue& value, Options& options) {
                std::uint64_t number = 0;
                std::string wrong = take_count(value, 0, UINT32_MAX, number);
                if (wrong.empty()) options.quotas.*member = static_cast<std::uint32_t>(number);
                return wrong;
            },
            [member](const Options& options) { return fmt::format("{}", options.quotas.*member); }};
}

std::vector<DaemonSetting> make_settings() {
    std::vector<DaemonSetting> all;
    all.push_back(path("socket", "\"/run/shmq/socket\"",
                       "Socket to listen on. Of a socket unit, that unit's is used.\n"
                       "A change needs a restart.",
                       &Options::socket));
    all.push_back(path("state_directory", "\"/var/lib/shmq\"",
                       "Directory for journals: on a disk, where durable is to mean anything.\n"
                       "A change needs a restart.",
                       &Options::state_directory));
    all.push_back({"", "idle_exit", "",
                   "End this long after the last session if no queue is held; 0: never.",
                   [](const ConfigurationValue& value, Options& options) {
                       std::uint64_t time = 0;
                       std::string wrong = take_duration(value, time);
                       if (wrong.empty()) options.idle_exit_ns = static_cast<Nanoseconds>(time);
                       return wrong;
                   },
                   [](const Options& options) {
                       return duration_value(static_cast<std::uint64_t>(options.idle_exit_ns));
                   }});
    all.push_back(choice(
        "log_level", "trace, debug, info, warn, error or off.", log_levels,
        [](const Options& options) { return options.log_level; },
        [](Options& options, std::size_t index) { options.log_level = log_levels[index]; }));
    all.push_back(choice(
        "io", "auto (io_uring, else epoll), uring or epoll. A change needs a restart.", loops,
        [](const Options& options) { return loops[static_cast<std::size_t>(options.io)]; },
        [](Options& options, std::size_t index) { options.io = static_cast<IoChoice>(index); }));
    all.push_back(
        {"", "keeper", "",
         "Have a shmq-keeper beside the daemon, where no service manager keeps descriptors.\n"
         "A change needs a restart.",
         [](const ConfigurationValue& value, Options& options) {
             return take_flag(value, options.keeper);
         },
         [](const Options& options) { return std::string(options.keeper ? "true" : "false"); }});
    all.push_back(count("queues", "Queues that one uid may own.", &Quotas::queues));
    all.push_back(count("sessions", "Connections that one uid may have.", &Quotas::sessions));
    all.push_back({"limits", "memory", "",
                   "Memory that the queues of one uid may take, rings and pools together.",
                   [](const ConfigurationValue& value, Options& options) {
                       return take_size(value, options.quotas.memory_bytes);
                   },
                   [](const Options& options) { return size_value(options.quotas.memory_bytes); }});
    all.push_back({"metrics", "listen", "\"unix:/run/shmq/metrics\"",
                   "Where to serve them: \"unix:/PATH\", or a port of this machine alone, as in\n"
                   "\"127.0.0.1:9464\". Not served, if not said.",
                   [](const ConfigurationValue& value, Options& options) {
                       std::string address;
                       std::string wrong = take_text(value, address);
                       if (wrong.empty()) wrong = check_metrics_address(address);
                       if (wrong.empty()) options.metrics = address;
                       return wrong;
                   },
                   [](const Options& options) {
                       return options.metrics.empty() ? std::string()
                                                      : quoted_value(options.metrics);
                   }});
    return all;
}

}  // namespace

std::span<const Setting<Options>> daemon_settings() {
    static const std::vector<DaemonSetting> all = make_settings();
    return all;
}

}  // namespace shmq::daemon
