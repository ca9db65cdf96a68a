#include "cli/definitions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <span>

#include <shmq/client.hpp>

#include "cli/command.hpp"
#include "cli/listing.hpp"
#include "cli/queue_values.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

using Input = nlohmann::json;

// A size as parse_size reads it back, exact: `64MiB`, `1000`.
std::string size_text(std::uint64_t bytes) {
    constexpr std::string_view letters[] = {"", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(letters)) {
        bytes /= 1024;
        ++unit;
    }
    return fmt::format("{}{}", bytes, letters[unit]);
}

// One option: how it is written, read, and whether it is to be said at all.
struct Member {
    std::string_view name;
    std::function<void(Json&, const QueueOptions&)> write;
    std::function<void(const Input&, QueueOptions&)> read;
};

[[noreturn]] void refuse(const std::string& what) {
    throw BadValue(what);
}

std::string text_in(const Input& value) {
    if (!value.is_string()) refuse("must be a text");
    return value.get<std::string>();
}
std::uint64_t number_in(const Input& value) {
    if (!value.is_number_unsigned()) refuse("must be a whole number");
    return value.get<std::uint64_t>();
}
// Of what is narrower here a number too large is over its limit, which the library names.
std::uint32_t narrow_in(const Input& value) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(number_in(value), UINT32_MAX));
}
bool flag_in(const Input& value) {
    if (!value.is_boolean()) refuse("must be true or false");
    return value.get<bool>();
}
std::uint64_t size_in(const Input& value) {
    if (value.is_number()) return number_in(value);
    const auto parsed = parse_size(text_in(value));
    if (!parsed) refuse(parsed.error());
    return *parsed;
}
std::chrono::nanoseconds duration_in(const Input& value) {
    const auto parsed = parse_duration(text_in(value));
    if (!parsed) refuse(parsed.error());
    return *parsed;
}

template <typename Field>
Member number_of(std::string_view name, Field QueueOptions::*field) {
    return {name, [=](Json& json, const QueueOptions& options) { json.add(name, options.*field); },
            [=](const Input& value, QueueOptions& options) {
                if constexpr (sizeof(Field) == 4) {
                    options.*field = narrow_in(value);
                } else {
                    options.*field = number_in(value);
                }
            }};
}

Member size_of(std::string_view name, std::uint64_t QueueOptions::*field) {
    return {name,
            [=](Json& json, const QueueOptions& options) {
                // 0: as the disk allows, which is said by saying nothing.
                if (options.*field != 0) json.add(name, size_text(options.*field));
            },
            [=](const Input& value, QueueOptions& options) { options.*field = size_in(value); }};
}

Member duration_of(std::string_view name, std::chrono::nanoseconds QueueOptions::*field) {
    return {
        name,
        [=](Json& json, const QueueOptions& options) {
            if ((options.*field).count() != 0) {
                json.add(name, format_duration_exact(options.*field));
            }
        },
        [=](const Input& value, QueueOptions& options) { options.*field = duration_in(value); }};
}

Member flag_of(std::string_view name, bool QueueOptions::*field) {
    return {name,
            [=](Json& json, const QueueOptions& options) {
                if (options.*field) json.add(name, true);
            },
            [=](const Input& value, QueueOptions& options) { options.*field = flag_in(value); }};
}

template <typename Enum>
Member choice_of(std::string_view name, Enum QueueOptions::*field,
                 std::span<const std::string_view> names) {
    return {name,
            [=](Json& json, const QueueOptions& options) {
                json.add(name, name_of(names, options.*field));
            },
            [=](const Input& value, QueueOptions& options) {
                options.*field = named<Enum>(text_in(value), names);
            }};
}

bool has_journal(const QueueOptions& options) {
    return options.overflow == Overflow::spill || options.durability != Durability::accepted;
}

std::vector<Member> failure_members() {
    return {
        {"max_deliveries",
         [](Json& json, const QueueOptions& options) {
             json.add("max_deliveries", options.max_deliveries.value_or(0));
         },
         [](const Input& value, QueueOptions& options) {
             options.max_deliveries = narrow_in(value);
         }},
        {"dead_letter",
         [](Json& json, const QueueOptions& options) {
             json.add("dead_letter", options.dead_letter.value_or(""));
         },
         [](const Input& value, QueueOptions& options) { options.dead_letter = text_in(value); }},
        duration_of("retry_delay", &QueueOptions::retry_delay),
        duration_of("retry_delay_max", &QueueOptions::retry_delay_max),
        flag_of("pause_stopped", &QueueOptions::pause_stopped),
        {"mode",
         [](Json& json, const QueueOptions& options) {
             json.add("mode", fmt::format("{:04o}", options.mode));
         },
         [](const Input& value, QueueOptions& options) {
             const auto mode = parse_mode(text_in(value));
             if (!mode) refuse(mode.error());
             options.mode = *mode;
         }},
        {"group",
         [](Json& json, const QueueOptions& options) {
             if (options.group) json.add("group", group_text(*options.group));
         },
         [](const Input& value, QueueOptions& options) {
             options.group = group_number(text_in(value));
         }},
    };
}

// In the order in which they are written.
const std::vector<Member>& members() {
    static const std::vector<Member> all = [] {
        std::vector<Member> list{
            number_of("capacity", &QueueOptions::capacity),
            number_of("slot_size", &QueueOptions::slot_size),
            size_of("max_message", &QueueOptions::max_message),
            size_of("pool", &QueueOptions::pool),
            choice_of("overflow", &QueueOptions::overflow, overflow_names),
            size_of("spill_limit", &QueueOptions::spill_limit),
            choice_of("when_full", &QueueOptions::when_full, when_full_names),
            choice_of("durability", &QueueOptions::durability, durability_names),
            duration_of("lease", &QueueOptions::lease),
            number_of("in_flight", &QueueOptions::in_flight),
            flag_of("exclusive_producer", &QueueOptions::exclusive_producer),
            flag_of("exclusive_consumer", &QueueOptions::exclusive_consumer),
            flag_of("exact_timestamps", &QueueOptions::exact_timestamps),
        };
        for (Member& member : failure_members())
            list.push_back(std::move(member));
        return list;
    }();
    return all;
}

QueueDefinition read_one(const Input& input, const std::string& place) {
    const auto wrong = [&](const std::string& what) {
        return Failure(Exit::failed, fmt::format("{}: {}", place, what));
    };
    if (!input.is_object()) throw wrong("must be an object");
    const auto name = input.find("name");
    if (name == input.end() || !name->is_string()) throw wrong("needs a name");
    QueueDefinition definition{name->get<std::string>(), {}};
    if (const auto problem = check_queue_name(definition.name); !problem.empty()) {
        throw wrong(problem);
    }
    std::vector<std::string_view> known{"name", "owner"};
    for (const Member& member : members())
        known.push_back(member.name);
    for (const auto& [key, value] : input.items()) {
        if (key == "name") continue;
        const auto found =
            std::find_if(members().begin(), members().end(),
                         [&, &key = key](const Member& each) { return each.name == key; });
        if (found == members().end() && key != "owner") {
            const std::string_view near = nearest(key, known);
            throw wrong(fmt::format("queue '{}' has no option '{}'{}", definition.name, escape(key),
                                    near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
        }
        try {
            if (key == "owner") {
                definition.owner = user_number(text_in(value));
            } else {
                found->read(value, definition.options);
            }
        } catch (const BadValue& bad) {
            throw wrong(fmt::format("{} of queue '{}': {}", key, definition.name, bad.what()));
        }
    }
    return definition;
}

// As one member is written; empty where it is not.
std::string shown(const Member& member, const QueueOptions& options) {
    Json json = Json::object();
    member.write(json, options);
    const Input read = Input::parse(json.text());
    const auto found = read.find(member.name);
    if (found == read.end()) return "not set";
    return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace

Json to_json(const QueueDefinition& definition) {
    Json json = Json::object();
    json.add("name", definition.name);
    if (definition.owner) json.add("owner", user_text(*definition.owner));
    for (const Member& member : members()) {
        if (member.name == "when_full" && !has_journal(definition.options)) continue;
        member.write(json, definition.options);
    }
    return json;
}

std::vector<QueueDefinition> read_definitions(std::string_view text) {
    const Input input = Input::parse(text, nullptr, /*allow_exceptions=*/false);
    const Input* queues = &input;
    if (input.is_object() && input.contains("queues")) queues = &input["queues"];
    if (!queues->is_array()) {
        throw Failure(Exit::failed, input.is_discarded()
                                        ? "import: it is not JSON"
                                        : "import: needs {\"queues\": [...]}, as export prints it");
    }
    std::vector<QueueDefinition> definitions;
    for (std::size_t i = 0; i < queues->size(); ++i)
        definitions.push_back(read_one((*queues)[i], fmt::format("import: queues[{}]", i)));
    return definitions;
}

std::string difference(const QueueOptions& present, const QueueOptions& wanted) {
    const QueueOptions unsaid;
    for (const Member& member : members()) {
        if (member.name == "when_full" && !has_journal(present)) continue;
        const std::string is = shown(member, present);
        const std::string should = shown(member, wanted);
        if (is == should || should == shown(member, unsaid)) continue;
        return fmt::format("{} is {}, not {}", member.name, is, should);
    }
    return {};
}

}  // namespace shmq::cli
