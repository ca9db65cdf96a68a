#include "cli/dead_letters.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "cli/observation.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

std::chrono::nanoseconds since(std::chrono::steady_clock::time_point time) {
    return std::max(std::chrono::nanoseconds(0),
                    std::chrono::nanoseconds(std::chrono::steady_clock::now() - time));
}

}  // namespace

std::string dead_letter_queue_of(const Context& context, const std::string& name) {
    if (const std::string wrong = check_queue_name(name); !wrong.empty()) {
        throw Failure(Exit::usage, fmt::format("dlq: {}", wrong));
    }
    Client client = context.connect();
    const QueueInfo info = need(client.describe(name));
    const std::string target = info.options.dead_letter.value_or("");
    if (target.empty()) return name;
    const auto there = client.describe(target);
    if (there) return target;
    if (there.condition() == Condition::queue_not_found) return {};
    fail(there.error());
}

bool lets_through(const Filter& filter, const Letter& letter) {
    if (!filter.sequences.empty() && std::find(filter.sequences.begin(), filter.sequences.end(),
                                               letter.sequence) == filter.sequences.end()) {
        return false;
    }
    if (filter.older_than && letter.age < *filter.older_than) return false;
    return filter.reason.empty() || letter.history.reason == filter.reason ||
           letter.history.reason.starts_with(filter.reason + ":");
}

std::vector<Letter> read_letters(const Context& context, const std::string& queue,
                                 const Filter& filter, bool with_content) {
    const Observation observation(context, queue);
    const std::size_t all = std::numeric_limits<std::size_t>::max();
    std::vector<Letter> letters;
    for (const auto& message : shm::peek(observation.segment(), all, with_content ? all : 0)) {
        Letter letter;
        letter.sequence = message.sequence;
        letter.size = message.length;
        letter.age = age_of(message.timestamp);
        letter.content.assign(reinterpret_cast<const char*>(message.content.data()),
                              message.content.size());
        if (message.history) {
            letter.known = true;
            letter.history = dead_letter_of(*message.history);
            letter.age = since(letter.history.moved);
        }
        if (lets_through(filter, letter)) letters.push_back(std::move(letter));
    }
    return letters;
}

Json to_json(const Letter& letter) {
    const DeadLetter& history = letter.history;
    const bool readable = valid_utf8_prefix(letter.content) == letter.content.size();
    Json json = Json::object();
    json.add("sequence", letter.sequence);
    if (!letter.known) {
        json.add_null("source").add_null("reason");
    } else {
        json.add("source", history.source)
            .add("reason", history.reason)
            .add("source_sequence", history.sequence)
            .add("deliveries", history.deliveries)
            .add("failures", history.failures)
            .add("first_failure_age_ns", since(history.first_failure).count())
            .add("last_failure_age_ns", since(history.last_failure).count());
        history.pid != 0 ? json.add("pid", history.pid) : json.add_null("pid");
        json.add("uid", history.uid).add("executable", history.executable);
    }
    json.add("age_ns", letter.age.count())
        .add("redriven", history.redriven)
        .add("size", letter.size)
        .add("encoding", readable ? "utf-8" : "base64")
        .add("content", readable ? letter.content : base64(letter.content));
    return json;
}

std::string text_of(const Letter& letter) {
    const DeadLetter& history = letter.history;
    Fields fields;
    fields.add("sequence", std::to_string(letter.sequence));
    if (letter.known) {
        fields.add("source",
                   fmt::format("{}, sequence {}", escape(history.source), history.sequence));
        fields.add("reason", escape(history.reason));
        fields.add("deliveries", std::to_string(history.deliveries));
        fields.add("failures", std::to_string(history.failures));
        fields.add("first failure", format_duration(since(history.first_failure)) + " ago");
        fields.add("last failure", format_duration(since(history.last_failure)) + " ago");
        const std::string who =
            history.pid == 0
                ? std::string("not known")
                : fmt::format("pid {}, uid {}, {}", history.pid, history.uid,
                              history.executable.empty() ? "?" : escape(history.executable));
        fields.add("last held by", who);
    }
    fields.add("moved", format_duration(letter.age) + " ago");
    if (history.redriven != 0) {
        fields.add("redriven", fmt::format("{} times, last {} ago", history.redriven,
                                           format_duration(since(history.last_redriven))));
    }
    fields.add("size", format_size(letter.size));
    fields.add("content", escape(letter.content));
    return fields.text(coloured());
}

}  // namespace shmq::cli
