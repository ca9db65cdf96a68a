// shmq ack|nack|extend NAME SEQUENCE...: what a consumer would say, said by an operator. The handle
// of whoever holds the message is stale after ack and nack, and goes on after extend.
// Exit: 0 done, 1 failed or some refused, 3 none of them was there.
#include "cli/settle.hpp"

#include <charconv>

#include <fmt/format.h>

#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct SettleOptions {
    std::string name;
    std::vector<std::string> words;
    std::optional<std::chrono::nanoseconds> time;
    bool json = false;
};

std::string_view done_word(wire::SettleVerb verb) {
    switch (verb) {
        case wire::SettleVerb::ack:
            return "acked";
        case wire::SettleVerb::nack:
            return "given back";
        case wire::SettleVerb::extend:
            return "extended";
        case wire::SettleVerb::redrive:
            return "redriven";
        case wire::SettleVerb::discard:
            return "dropped";
    }
    return "done";
}

Exit settle(const Context& context, const SettleOptions& options, wire::SettleVerb verb) {
    const std::string_view name = wire::settle_verb_token(verb);
    const auto sequences = sequences_of(name, options.words, 0);
    if (sequences.empty()) {
        throw Failure(Exit::usage,
                      fmt::format("{}: which? give sequences of 'shmq pending'", name));
    }
    if (sequences.size() > wire::settle_most) {
        throw Failure(Exit::usage,
                      fmt::format("{}: {} at a time at most", name, wire::settle_most));
    }
    Settling settling(context, options.name, verb, options.json);
    if (options.time) settling.time_ns = static_cast<std::uint64_t>(options.time->count());
    settling.run(sequences);
    return settling.report(Exit::nothing);
}

Action prepare(Options& command, const Context& context, wire::SettleVerb verb) {
    auto options = std::make_shared<SettleOptions>();
    command.name(options->name);
    command.words("SEQUENCE", "As 'shmq pending' shows them", options->words);
    if (verb == wire::SettleVerb::nack) {
        command.duration("--delay", "Offered again after so long (default: at once)",
                         options->time);
    }
    if (verb == wire::SettleVerb::extend) {
        command.duration("--lease", "From now on (default: the queue's lease)", options->time);
    }
    command.json(options->json);
    return [options, &context, verb] { return settle(context, *options, verb); };
}

Action prepare_ack(Options& command, const Context& context) {
    return prepare(command, context, wire::SettleVerb::ack);
}
Action prepare_nack(Options& command, const Context& context) {
    return prepare(command, context, wire::SettleVerb::nack);
}
Action prepare_extend(Options& command, const Context& context) {
    return prepare(command, context, wire::SettleVerb::extend);
}

}  // namespace

std::vector<std::uint64_t> sequences_of(std::string_view verb,
                                        const std::vector<std::string>& words, std::size_t from) {
    std::vector<std::uint64_t> sequences;
    for (std::size_t i = from; i < words.size(); ++i) {
        const std::string& word = words[i];
        std::uint64_t sequence = 0;
        const auto read = std::from_chars(word.data(), word.data() + word.size(), sequence);
        if (read.ec != std::errc{} || read.ptr != word.data() + word.size()) {
            throw Failure(Exit::usage, fmt::format("{}: '{}' is no sequence", verb, escape(word)));
        }
        sequences.push_back(sequence);
    }
    return sequences;
}

Settling::Settling(const Context& context, std::string queue, wire::SettleVerb verb, bool json)
    : queue_(std::move(queue)), verb_(verb), json_(json), client_(context.connect()) {}

void Settling::run(const std::vector<std::uint64_t>& sequences) {
    const auto session = SessionAccess::of(client_);
    auto settled = need(session->settle(queue_, verb_, sequences, time_ns, to));
    total_.done += settled.done;
    for (auto& refused : settled.refused)
        total_.refused.push_back(std::move(refused));
}

Exit Settling::report(Exit otherwise) const {
    if (json_) {
        Json refused = Json::array();
        for (const wire::Refusal& refusal : total_.refused) {
            refused.push(std::move(
                Json::object().add("sequence", refusal.sequence).add("reason", refusal.reason)));
        }
        Json json = Json::object();
        json.add("name", queue_).add("done", total_.done);
        json.add("refused", std::move(refused));
        print(json.text());
    } else {
        print(fmt::format("{} {} {}\n", done_word(verb_), format_count(total_.done),
                          total_.done == 1 ? "message" : "messages"));
        for (const wire::Refusal& refusal : total_.refused)
            complain(fmt::format("message {}: {}", refusal.sequence, escape(refusal.reason)));
    }
    if (!total_.refused.empty()) return total_.done == 0 ? otherwise : Exit::failed;
    return total_.done == 0 ? otherwise : Exit::done;
}

Exit Settling::report_dry(std::size_t count) const {
    if (json_) {
        Json json = Json::object();
        json.add("name", queue_).add("would_be_done", count);
        print(json.text());
    } else {
        print(fmt::format("{} {} would be {}\n", format_count(count),
                          count == 1 ? "message" : "messages", done_word(verb_)));
    }
    return Exit::done;
}

constinit const Verb ack_verb{"ack", "Ack messages that somebody holds", "  shmq ack jobs 17 18",
                              prepare_ack};
constinit const Verb nack_verb{"nack", "Give back messages that somebody holds",
                               "  shmq nack jobs 17 --delay 1m", prepare_nack};
constinit const Verb extend_verb{"extend", "Renew the leases of messages that somebody holds",
                                 "  shmq extend jobs 17 --lease 10m", prepare_extend};

}  // namespace shmq::cli
