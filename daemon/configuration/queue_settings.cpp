// What shmqd.toml may say of a queue: the options of `shmq create`, by the names of the protocol.
#include <fmt/format.h>

#include <array>
#include <utility>
#include <vector>

#include "daemon/configuration/setting.hpp"
#include "daemon/configuration/setting_values.hpp"

namespace shmq::daemon {
namespace {

using wire::Options;
using QueueSetting = Setting<Options>;

// 0 is what a program says when it does not say; in a file it would say nothing, unnoticed.
std::string not_zero(std::string wrong, const std::uint64_t& value) {
    if (wrong.empty() && value == 0) return "0 is no value of it; leave it out for the default";
    return wrong;
}

template <typename Number>
QueueSetting count(std::string_view name, std::string_view example, std::string_view help,
                   Number Options::*member) {
    return {"",
            name,
            example,
            help,
            [member](const ConfigurationValue& value, Options& options) {
                std::uint64_t number = 0;
                const std::uint64_t most = std::min<std::uint64_t>(
                    std::numeric_limits<Number>::max(), std::numeric_limits<std::int64_t>::max());
                std::string wrong = take_count(value, 1, most, number);
                if (wrong.empty()) options.*member = static_cast<Number>(number);
                return wrong;
            },
            [member](const Options& options) {
                return options.*member == 0 ? std::string() : fmt::format("{}", options.*member);
            }};
}

QueueSetting size(std::string_view name, std::string_view example, std::string_view help,
                  std::uint64_t Options::*member) {
    return {"",
            name,
            example,
            help,
            [member](const ConfigurationValue& value, Options& options) {
                std::uint64_t bytes = 0;
                std::string wrong = not_zero(take_size(value, bytes), bytes);
                if (wrong.empty()) options.*member = bytes;
                return wrong;
            },
            [member](const Options& options) {
                return options.*member == 0 ? std::string() : size_value(options.*member);
            }};
}

QueueSetting duration(std::string_view name, std::string_view example, std::string_view help,
                      std::uint64_t Options::*member) {
    return {"",
            name,
            example,
            help,
            [member](const ConfigurationValue& value, Options& options) {
                std::uint64_t time = 0;
                std::string wrong = not_zero(take_duration(value, time), time);
                if (wrong.empty()) options.*member = time;
                return wrong;
            },
            [member](const Options& options) {
                return options.*member == 0 ? std::string() : duration_value(options.*member);
            }};
}

QueueSetting flag(std::string_view name, std::string_view help,
                  std::optional<bool> Options::*member) {
    return {"",
            name,
            "false",
            help,
            [member](const ConfigurationValue& value, Options& options) {
                bool on = false;
                std::string wrong = take_flag(value, on);
                if (wrong.empty()) options.*member = on;
                return wrong;
            },
            [member](const Options& options) {
                if (!(options.*member)) return std::string();
                return std::string(*(options.*member) ? "true" : "false");
            }};
}

template <typename Enum, std::size_t size>
QueueSetting choice(std::string_view name, std::string_view example, std::string_view help,
                    const std::array<std::string_view, size>& tokens,
                    std::optional<Enum> Options::*member) {
    return {"",
            name,
            example,
            help,
            [member, &tokens](const ConfigurationValue& value, Options& options) {
                std::size_t index = 0;
                std::string wrong = take_choice(value, tokens, index);
                if (wrong.empty()) options.*member = static_cast<Enum>(index);
                return wrong;
            },
            [member, &tokens](const Options& options) {
                if (!(options.*member)) return std::string();
                return quoted_value(tokens[static_cast<std::size_t>(*(options.*member))]);
            }};
}

// As `shmq create` takes them.
constexpr std::array<std::string_view, 4> overflows = {"block", "reject", "drop-oldest", "spill"};
constexpr std::array<std::string_view, 2> when_fulls = {"block", "reject"};
constexpr std::array<std::string_view, 3> durabilities = {"accepted", "logged", "durable"};

void add_behaviour(std::vector<QueueSetting>& all) {
    all.push_back(size("max_message", "\"1MiB\"", "Largest message.", &Options::max_message));
    all.push_back(choice("overflow", "\"block\"",
                         "What send does when there is no room; spill: it puts it on disk.",
                         overflows, &Options::overflow));
    all.push_back(size("spill_limit", "\"20GiB\"",
                       "Disk space that the journal may take; as the disk allows, if not said.",
                       &Options::spill_limit));
    all.push_back(choice("when_full", "\"block\"",
                         "What send does when the disk has no room either.", when_fulls,
                         &Options::when_full));
    all.push_back(choice("durability", "\"accepted\"",
                         "What each message survives in time: the death of any process, of the\n"
                         "kernel (logged), a loss of power (durable).",
                         durabilities, &Options::durability));
    all.push_back(duration("lease", "\"30s\"",
                           "How long a consumer may hold a message without renewing.",
                           &Options::lease_ns));
    all.push_back({"", "max_deliveries", "20",
                   "Failed deliveries before a message goes to the dead-letter queue; 0: no limit.",
                   [](const ConfigurationValue& value, Options& options) {
                       std::uint64_t number = 0;
                       std::string wrong =
                           take_count(value, 0, limits::deliveries_counted_max, number);
                       if (wrong.empty())
                           options.max_deliveries = static_cast<std::uint32_t>(number);
                       return wrong;
                   },
                   [](const Options& options) {
                       return options.max_deliveries ? fmt::format("{}", *options.max_deliveries)
                                                     : std::string();
                   }});
    all.push_back({"", "dead_letter", "\"NAME.dlq\"",
                   "Queue for messages that failed too often or were rejected; \"\": none, they\n"
                   "are dropped and counted. If not said, the queue's name and .dlq.",
                   [](const ConfigurationValue& value, Options& options) {
                       const auto* text = std::get_if<std::string>(&value);
                       if (text == nullptr) return std::string("it has to be a name in quotes");
                       if (!text->empty()) {
                           if (std::string wrong = wire::check_name(*text); !wrong.empty())
                               return wrong;
                       }
                       options.dead_letter = *text;
                       return std::string();
                   },
                   [](const Options& options) {
                       return options.dead_letter ? quoted_value(*options.dead_letter)
                                                  : std::string();
                   }});
    all.push_back(duration("retry_delay", "\"1s\"",
                           "Time before a message that was given back is offered again.",
                           &Options::retry_delay_ns));
    all.push_back(duration("retry_delay_max", "\"1m\"", "Doubled each time, up to this.",
                           &Options::retry_delay_max_ns));
    all.push_back(flag("pause_stopped", "No lease runs out while its holder is stopped.",
                       &Options::pause_stopped));
}

void add_rights(std::vector<QueueSetting>& all) {
    all.push_back({"", "mode", "\"700\"",
                   "Rights of owner, group, others: 4 manage, 2 produce, 1 consume.",
                   [](const ConfigurationValue& value, Options& options) {
                       std::uint32_t mode = 0;
                       std::string wrong = take_mode(value, mode);
                       if (wrong.empty()) options.mode = mode;
                       return wrong;
                   },
                   [](const Options& options) {
                       return options.mode ? fmt::format("\"{:o}\"", *options.mode) : std::string();
                   }});
    all.push_back({"", "group", "\"users\"", "Group that the mode speaks of.",
                   [](const ConfigurationValue& value, Options& options) {
                       std::uint32_t group = 0;
                       std::string wrong = take_group(value, group);
                       if (wrong.empty()) options.group = group;
                       return wrong;
                   },
                   [](const Options& options) {
                       return options.group ? fmt::format("{}", *options.group) : std::string();
                   }});
}

std::vector<QueueSetting> make_settings() {
    std::vector<QueueSetting> all;
    add_behaviour(all);
    all.push_back(flag("exclusive_producer", "One producer at a time: faster.",
                       &Options::exclusive_producer));
    all.push_back(flag("exclusive_consumer", "One consumer at a time: faster, and in order.",
                       &Options::exclusive_consumer));
    all.push_back(flag("exact_timestamps",
                       "Time stamps exact to the nanosecond instead of the timer tick.",
                       &Options::exact_timestamps));
    add_rights(all);
    all.push_back(
        count("capacity", "1024", "Messages it holds, a power of two.", &Options::capacity));
    all.push_back(count("slot_size", "64",
                        "64, 128, 256 or 512: messages up to 32 bytes less need no block.",
                        &Options::slot_size));
    all.push_back(size("pool", "\"64MiB\"", "Memory for messages larger than a slot, at most.",
                       &Options::pool));
    all.push_back(
        count("in_flight", "64", "Unacked messages a consumer may hold.", &Options::in_flight));
    return all;
}

}  // namespace

std::span<const Setting<wire::Options>> queue_settings() {
    static const std::vector<QueueSetting> all = make_settings();
    return all;
}

std::span<const Setting<DeclaredQueue>> declared_queue_settings() {
    static const std::vector<Setting<DeclaredQueue>> all = {
        {"", "owner", "\"root\"",
         "Whose it is, and who is charged for it; whom the daemon runs as.",
         [](const ConfigurationValue& value, DeclaredQueue& queue) {
             std::uint32_t owner = 0;
             std::string wrong = take_user(value, owner);
             if (wrong.empty()) queue.owner = owner;
             return wrong;
         },
         [](const DeclaredQueue& queue) {
             return queue.owner ? fmt::format("{}", *queue.owner) : std::string();
         }}};
    return all;
}

}  // namespace shmq::daemon
