#include "daemon/options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <iostream>
#include <utility>
#include <vector>

#include "base/version.hpp"
#include "daemon/configuration/configuration.hpp"
#include "daemon/metrics/http.hpp"

namespace shmq::daemon {
namespace {

constexpr int exit_failed = 1;
constexpr int exit_wrong_usage = 2;

// What only the command line says.
struct Modes {
    bool check = false;
    bool print = false;
};

struct Unit {
    std::string_view name;
    double factor;
};

// A non-negative number and one of `units`, as a whole number below `limit`.
std::optional<double> parse_with_unit(std::string_view text, const std::vector<Unit>& units,
                                      double limit) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) return {};
    const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
    for (const Unit& unit : units) {
        if (unit.name != name) continue;
        const double value = std::floor(number * unit.factor);
        // Rounding a small amount to nothing would turn it into "never" or "default".
        if (value >= limit || (value == 0 && number > 0)) return {};
        return value;
    }
    return {};
}

// A text option whose value `parse` must accept.
template <typename Value, typename Parse>
void add_parsed(CLI::App& app, const std::string& name, Value& value, Parse parse,
                const std::string& help, const std::string& type, const std::string& example) {
    app.add_option_function<std::string>(
           name,
           [&value, parse, name, example](const std::string& text) {
               const auto parsed = parse(text);
               if (!parsed) {
                   throw CLI::ValidationError(name,
                                              "\"" + text + "\" is not one; write " + example);
               }
               value = *parsed;
           },
           help)
        ->type_name(type);
}

void describe(CLI::App& app, Options& options, Modes& modes) {
    const auto not_empty = [](const std::string& path) {
        return path.empty() ? std::string("the path is empty") : std::string();
    };
    app.set_version_flag("--version", std::string("shmqd ") + version_text());
    app.add_option("--config", options.configuration,
                   "Configuration file; *.toml of FILE.d are read after it. Default shmqd.toml of "
                   "$CONFIGURATION_DIRECTORY, else of /etc/shmq for root, else of "
                   "$XDG_CONFIG_HOME/shmq or ~/.config/shmq. The command line has the last word")
        ->type_name("FILE")
        ->check(not_empty);
    app.add_flag("--check-config", modes.check,
                 "Read the configuration, say what is wrong with it, and end: 0 nothing, 1 "
                 "something");
    app.add_flag("--print-config", modes.print,
                 "Print what would be in force, as a configuration file, and end");
    app.add_option("--socket", options.socket,
                   "Socket to listen on; default $SHMQ_SOCKET, else /run/shmq/socket for root, "
                   "else $XDG_RUNTIME_DIR/shmq/socket, else /tmp/shmq-UID/socket")
        ->type_name("PATH")
        ->check(not_empty);
    app.add_option("--state-dir", options.state_directory,
                   "Directory for journals, made where it is missing; default $STATE_DIRECTORY, "
                   "else for the default socket /var/lib/shmq for root, $XDG_STATE_HOME/shmq or "
                   "~/.local/state/shmq, else the socket's path and .state")
        ->type_name("DIR")
        ->check(not_empty);
    app.add_option("--metrics", options.metrics,
                   "Serve numbers for Prometheus there, by HTTP: unix:/PATH, or a port of this "
                   "machine alone, as 127.0.0.1:9464; default nowhere")
        ->type_name("ADDRESS")
        ->check(check_metrics_address);
    add_parsed(app, "--idle-exit", options.idle_exit_ns, parse_duration,
               "End this long after the last session if no queue is held; 0: never (default)",
               "DURATION", "60s, 5m or 0");
    app.add_flag("!--no-keeper", options.keeper,
                 "Have no shmq-keeper beside this daemon: when it is killed, nobody starts it "
                 "again, and its "
                 "queues live on only in the processes that use them");
    app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
        ->type_name("LEVEL")
        ->capture_default_str()
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
    app.add_option("--uid-queues", options.quotas.queues, "Queues that one uid may own")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--uid-sessions", options.quotas.sessions, "Connections that one uid may have")
        ->type_name("N")
        ->capture_default_str();
    add_parsed(app, "--uid-memory", options.quotas.memory_bytes, parse_size,
               "Memory that the queues of one uid may take, rings and pools together; default 4T",
               "SIZE", "512M or 4G");
    app.add_option_function<std::string>(
           "--io",
           [&options](const std::string& name) {
               options.io = name == "uring"   ? IoChoice::uring
                            : name == "epoll" ? IoChoice::epoll
                                              : IoChoice::automatic;
           },
           "auto (io_uring, else epoll), uring or epoll; default auto")
        ->type_name("LOOP")
        ->check(CLI::IsMember({"auto", "uring", "epoll"}));
}

}  // namespace

std::optional<Nanoseconds> parse_duration(std::string_view text) {
    static const std::vector<Unit> units = {{"", 1e9},  {"ns", 1},   {"us", 1e3},   {"ms", 1e6},
                                            {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
    const auto value = parse_with_unit(text, units, 0x1p63);
    if (!value) return {};
    return static_cast<Nanoseconds>(*value);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    static const std::vector<Unit> units = {
        {"", 1},         {"B", 1},       {"K", 0x1p10},   {"KB", 0x1p10}, {"KiB", 0x1p10},
        {"M", 0x1p20},   {"MB", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},  {"GB", 0x1p30},
        {"GiB", 0x1p30}, {"T", 0x1p40},  {"TB", 0x1p40},  {"TiB", 0x1p40}};
    const auto value = parse_with_unit(text, units, 0x1p64);
    if (!value) return {};
    return static_cast<std::uint64_t>(*value);
}

namespace {

constexpr const char* about =
    "shmqd: creates shared-memory queues, hands them out, and gives back what the dead held.";

// The command line over what `options` has already. Throws CLI::ParseError.
void take_command_line(CLI::App& app, int argument_count, const char* const* arguments,
                       Options& options, Modes& modes) {
    describe(app, options, modes);
    app.parse(argument_count, arguments);
}

// The files below the command line, which was understood before and has named the file.
void take_files(ParsedOptions& parsed, int argument_count, const char* const* arguments) {
    const bool named = !parsed.options.configuration.empty();
    const std::string path = named ? parsed.options.configuration : default_configuration_path();
    Options options;
    parsed.complaints = read_configuration(path, named, options);
    if (!parsed.complaints.empty()) return;
    CLI::App app(about);
    Modes modes;
    take_command_line(app, argument_count, arguments, options, modes);
    parsed.options = std::move(options);
}

}  // namespace

ParsedOptions parse_options(int argument_count, const char* const* arguments) {
    ParsedOptions parsed;
    Modes modes;
    CLI::App app(about);
    try {
        take_command_line(app, argument_count, arguments, parsed.options, modes);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error, std::cout, std::cerr);
        parsed.exit_status = status == 0 ? 0 : exit_wrong_usage;
        return parsed;
    }
    take_files(parsed, argument_count, arguments);
    if (!modes.check && !modes.print) return parsed;
    for (const std::string& complaint : parsed.complaints)
        std::cerr << "shmqd: " << complaint << '\n';
    parsed.exit_status = parsed.complaints.empty() ? 0 : exit_failed;
    if (modes.print && parsed.complaints.empty()) std::cout << print_configuration(parsed.options);
    return parsed;
}

ParsedOptions reload_options(int argument_count, const char* const* arguments) {
    ParsedOptions parsed;
    Modes modes;
    CLI::App app(about);
    take_command_line(app, argument_count, arguments, parsed.options, modes);
    take_files(parsed, argument_count, arguments);
    return parsed;
}

}  // namespace shmq::daemon
