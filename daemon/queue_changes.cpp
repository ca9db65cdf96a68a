// How options differ, and which of them may change while their queue exists.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/queue_options.hpp"

namespace shmq::daemon {
namespace {

std::string text_of(bool value) {
    return value ? "true" : "false";
}
std::string text_of(std::uint64_t value) {
    return std::to_string(value);
}
std::string text_of(const std::string& value) {
    return value.empty() ? "none" : value;
}
std::string text_of(wire::Overflow value) {
    return std::string(wire::overflow_token(value));
}
std::string text_of(wire::WhenFull value) {
    return std::string(wire::when_full_token(value));
}
std::string text_of(wire::Durability value) {
    return std::string(wire::durability_token(value));
}

bool waits_or_refuses(wire::Overflow overflow) {
    return overflow == wire::Overflow::block || overflow == wire::Overflow::reject;
}

constexpr auto live_options = std::to_array<std::string_view>(
    {"lease", "in_flight", "mode", "group", "max_deliveries", "dead_letter", "retry_delay",
     "retry_delay_max", "pause_stopped"});

}  // namespace

std::vector<Difference> differences(const Queue& queue, const wire::Options& wanted) {
    const wire::Options present = queue.options();
    std::vector<Difference> all;
    const auto compare = [&](std::string_view option, bool said, auto has, auto wants) {
        if (said && has != wants) all.push_back({option, text_of(has), text_of(wants)});
    };
    const auto compare_number = [&](std::string_view option, std::uint64_t has,
                                    std::uint64_t wants) {
        compare(option, wants != 0, has, wants);
    };
    const auto compare_flag = [&](std::string_view option, std::optional<bool> has,
                                  std::optional<bool> wants) {
        compare(option, wants.has_value(), has.value_or(false), wants.value_or(false));
    };
    compare_number("capacity", present.capacity, wanted.capacity);
    compare_number("slot_size", present.slot_size, wanted.slot_size);
    compare_number("max_message", present.max_message, wanted.max_message);
    compare_number("pool", present.pool, wanted.pool);
    compare("overflow", wanted.overflow.has_value(), *present.overflow,
            wanted.overflow.value_or(wire::Overflow::block));
    compare_number("spill_limit", present.spill_limit, wanted.spill_limit);
    compare("when_full", wanted.when_full.has_value(),
            present.when_full.value_or(wire::WhenFull::block),
            wanted.when_full.value_or(wire::WhenFull::block));
    compare("durability", wanted.durability.has_value(), *present.durability,
            wanted.durability.value_or(wire::Durability::accepted));
    compare_number("lease", present.lease_ns, wanted.lease_ns);
    compare_number("in_flight", present.in_flight, wanted.in_flight);
    if (wanted.mode && wanted.mode != present.mode) {
        all.push_back(
            {"mode", fmt::format("{:04o}", *present.mode), fmt::format("{:04o}", *wanted.mode)});
    }
    compare("group", wanted.group.has_value(), std::uint64_t{*present.group},
            std::uint64_t{wanted.group.value_or(0)});
    compare_flag("exclusive_producer", present.exclusive_producer, wanted.exclusive_producer);
    compare_flag("exclusive_consumer", present.exclusive_consumer, wanted.exclusive_consumer);
    compare_flag("exact_timestamps", present.exact_timestamps, wanted.exact_timestamps);
    compare("max_deliveries", wanted.max_deliveries.has_value(),
            std::uint64_t{*present.max_deliveries},
            std::uint64_t{wanted.max_deliveries.value_or(0)});
    compare("dead_letter", wanted.dead_letter.has_value(), *present.dead_letter,
            wanted.dead_letter.value_or(""));
    compare_number("retry_delay", present.retry_delay_ns, wanted.retry_delay_ns);
    compare_number("retry_delay_max", present.retry_delay_max_ns, wanted.retry_delay_max_ns);
    compare_flag("pause_stopped", present.pause_stopped, wanted.pause_stopped);
    return all;
}

std::optional<wire::Failure> first_difference(const Queue& queue, const wire::Options& wanted) {
    const auto all = differences(queue, wanted);
    if (all.empty()) return {};
    return wire::queue_exists(queue.name(), all.front().option, all.front().present,
                              all.front().wanted);
}

wire::Options overlaid(const wire::Options& said, const wire::Options& beneath) {
    wire::Options out = said;
    const auto number = [](auto& into, auto below) {
        if (into == 0) into = below;
    };
    const auto optional = [](auto& into, const auto& below) {
        if (!into) into = below;
    };
    number(out.capacity, beneath.capacity);
    number(out.slot_size, beneath.slot_size);
    number(out.max_message, beneath.max_message);
    number(out.pool, beneath.pool);
    // Who says what a full queue is to do has said whether there is a journal.
    const bool says_no_journal =
        said.overflow && *said.overflow != wire::Overflow::spill && !said.journal();
    if (!says_no_journal) {
        optional(out.durability, beneath.durability);
        if (out.durability.value_or(wire::Durability::accepted) == wire::Durability::accepted ||
            beneath.overflow == wire::Overflow::spill) {
            optional(out.overflow, beneath.overflow);
        }
    }
    if (out.journal()) {
        number(out.spill_limit, beneath.spill_limit);
        optional(out.when_full, beneath.when_full);
    }
    number(out.lease_ns, beneath.lease_ns);
    number(out.in_flight, beneath.in_flight);
    optional(out.mode, beneath.mode);
    optional(out.group, beneath.group);
    optional(out.exclusive_producer, beneath.exclusive_producer);
    optional(out.exclusive_consumer, beneath.exclusive_consumer);
    optional(out.exact_timestamps, beneath.exact_timestamps);
    optional(out.max_deliveries, beneath.max_deliveries);
    optional(out.dead_letter, beneath.dead_letter);
    if (out.retry_delay_ns == 0) {
        out.retry_delay_ns = beneath.retry_delay_ns;
        number(out.retry_delay_max_ns, beneath.retry_delay_max_ns);
    }
    optional(out.pause_stopped, beneath.pause_stopped);
    return out;
}

std::string why_fixed(const Queue& queue, std::string_view option, const wire::Options& wanted) {
    if (std::find(live_options.begin(), live_options.end(), option) != live_options.end())
        return {};
    constexpr std::string_view anew = "make another queue, and move the messages";
    const wire::Options present = queue.options();
    if (option == "spill_limit" || option == "when_full") {
        if (present.journal()) return {};
        return fmt::format("the queue has no journal; {}", anew);
    }
    if (option == "overflow") {
        const auto to = wanted.overflow.value_or(wire::Overflow::block);
        if (waits_or_refuses(*present.overflow) && waits_or_refuses(to)) return {};
        return fmt::format(
            "only block and reject can become one another while the queue exists; {}", anew);
    }
    if (option == "durability") return fmt::format("its journal was made for it; {}", anew);
    if (option.starts_with("exclusive_") || option == "exact_timestamps") {
        return fmt::format("its users rely on it since they attached; {}", anew);
    }
    return fmt::format("its memory was laid out by it; {}", anew);
}

void leave_out(wire::Options& options, std::string_view option) {
    wire::Json json = wire::to_json(options);
    json.erase(std::string(option));
    if (auto parsed = wire::options_from_json(json)) options = *parsed;
}

bool same_memory(const wire::Options& one, const wire::Options& other) {
    const auto fixed = [](wire::Options options) {
        if (waits_or_refuses(options.overflow.value_or(wire::Overflow::block)))
            options.overflow = wire::Overflow::block;
        options.spill_limit = options.lease_ns = options.in_flight = 0;
        options.retry_delay_ns = options.retry_delay_max_ns = 0;
        options.when_full.reset();
        options.mode.reset();
        options.group.reset();
        options.max_deliveries.reset();
        options.dead_letter.reset();
        options.pause_stopped.reset();
        return options;
    };
    return fixed(one) == fixed(other);
}

}  // namespace shmq::daemon
