// shmq peek NAME [-n COUNT]: looks at messages that wait, in the order they will be delivered, and
// disturbs nothing: no count, no order, no consumer.
// Exit: 0 shown, 1 no such queue or no right, 3 no message waits.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/observation.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr std::uint64_t count_default = 10;
constexpr std::size_t shown_max_bytes = 256;                 // of each message in the table
constexpr std::uint64_t count_max = std::uint64_t{1} << 24;  // no ring holds more

struct PeekOptions {
    std::string name;
    std::optional<std::uint64_t> count;
    bool json = false;
    bool hex = false;
    bool raw = false;
};

constexpr std::string_view example =
    "  shmq peek jobs\n"
    "  shmq peek jobs -n 1 --hex\n"
    "  shmq peek jobs -n 100 --json | jq -r '.[].content'";

std::string_view text_of(const shm::MessageView& message) {
    return {reinterpret_cast<const char*>(message.content.data()), message.content.size()};
}

std::string_view state_of(const shm::MessageView& message) {
    return message.state == shm::SlotState::returned ? "returned" : "ready";
}

Json to_json(const shm::MessageView& message) {
    const std::string_view text = text_of(message);
    const bool readable = valid_utf8_prefix(text) == text.size();
    Json json = Json::object();
    json.add("sequence", message.sequence)
        .add("state", state_of(message))
        .add("age_ns", age_of(message.timestamp).count())
        .add("deliveries", message.deliveries)
        .add("failures", message.failures)
        .add("redriven", message.redriven)
        .add("size", message.length)
        .add("encoding", readable ? "utf-8" : "base64")
        .add("content", readable ? std::string(text) : base64(text));
    return json;
}

std::string table_of(const std::vector<shm::MessageView>& messages) {
    using enum Table::Align;
    Table table{{"SEQUENCE", right},      {"STATE"},          {"AGE", right, 2},
                {"DELIVERIES", right, 3}, {"SIZE", right, 1}, {"CONTENT"}};
    for (const shm::MessageView& message : messages) {
        // A character that the limit cut is not shown as broken.
        const std::string_view text = text_of(message);
        const std::size_t whole = valid_utf8_prefix(text);
        const bool cut_only = message.length > text.size() && text.size() - whole < 4;
        std::string content = escape(cut_only ? text.substr(0, whole) : text);
        if (message.length > text.size()) content += " ...";
        table.add_row({std::to_string(message.sequence), std::string(state_of(message)),
                       format_duration(age_of(message.timestamp)),
                       std::to_string(message.deliveries), std::to_string(message.length),
                       content});
    }
    return table.text(coloured());
}

void print_contents(const std::vector<shm::MessageView>& messages, bool hex) {
    for (const shm::MessageView& message : messages) {
        if (!hex) {
            print(std::string(text_of(message)) + "\n");
            continue;
        }
        print(fmt::format("message {}, {}, {} bytes\n{}", message.sequence, state_of(message),
                          message.length, hex_dump(text_of(message))));
    }
}

Exit peek(const Context& context, const PeekOptions& options) {
    const Observation observation(context, options.name);
    const std::uint64_t count = std::min(options.count.value_or(count_default), count_max);
    const bool whole = options.json || options.hex || options.raw;
    const auto messages =
        shm::peek(observation.segment(), static_cast<std::size_t>(count),
                  whole ? std::numeric_limits<std::size_t>::max() : shown_max_bytes);
    if (options.json) {
        Json all = Json::array();
        for (const shm::MessageView& message : messages)
            all.push(to_json(message));
        print(all.text());
    } else if (options.hex || options.raw) {
        print_contents(messages, options.hex);
    } else if (!messages.empty()) {
        print(table_of(messages));
    }
    return messages.empty() ? Exit::nothing : Exit::done;
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<PeekOptions>();
    command.name(options->name);
    command.count("-n,--count", "COUNT", "So many at most (default 10)", options->count);
    const auto json = command.json(options->json);
    const auto hex = command.flag("--hex", "The whole content in hex", options->hex);
    const auto raw =
        command.flag("--raw", "The content as it is, a line each; not escaped", options->raw);
    Options::exclude(hex, json);
    Options::exclude(raw, json);
    Options::exclude(raw, hex);
    return [options, &context] { return peek(context, *options); };
}

}  // namespace

constinit const Verb peek_verb{"peek", "Look at waiting messages; disturbs nothing", example,
                               prepare};

}  // namespace shmq::cli
