// shmq dlq ls|show|redrive|purge NAME [SEQUENCE...] [OPTION...]: dead letters, of the queue NAME,
// or in it where it is a dead-letter queue itself. Exit: 0 done, 1 failed, 3 none there (that the
// filters let through).
#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/dead_letters.hpp"
#include "cli/json.hpp"
#include "cli/output.hpp"
#include "cli/settle.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

struct DlqOptions {
    std::vector<std::string> words;  // what to do, NAME, sequences
    Filter filter;
    std::optional<std::uint64_t> rate;
    std::string to;
    bool dry_run = false;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq dlq ls jobs\n"
    "  shmq dlq show jobs 17\n"
    "  shmq dlq redrive jobs --reason crashed --rate 10 --dry-run\n"
    "  shmq dlq purge jobs --older-than 7d";

constexpr std::size_t batch_most = 1000;

Exit list(const std::vector<Letter>& letters, bool json) {
    if (json) {
        Json all = Json::array();
        for (const Letter& letter : letters)
            all.push(to_json(letter));
        print(all.text());
        return letters.empty() ? Exit::nothing : Exit::done;
    }
    if (letters.empty()) return Exit::nothing;
    using enum Table::Align;
    Table table{{"SEQUENCE", right},    {"SOURCE"},         {"REASON"},
                {"FAILURES", right, 1}, {"AGE", right},     {"REDRIVEN", right, 2},
                {"PID", right, 3},      {"SIZE", right, 4}, {"EXECUTABLE"}};
    for (const Letter& letter : letters) {
        const DeadLetter& history = letter.history;
        table.add_row(
            {std::to_string(letter.sequence), letter.known ? escape(history.source) : "-",
             letter.known ? escape(history.reason) : "-", std::to_string(history.failures),
             format_duration(letter.age), std::to_string(history.redriven),
             history.pid == 0 ? "-" : std::to_string(history.pid), std::to_string(letter.size),
             history.executable.empty() ? "-" : escape(history.executable)});
    }
    print(table.text(coloured()));
    return Exit::done;
}

Exit show(const std::vector<Letter>& letters, bool json) {
    if (json) return list(letters, true);
    for (const Letter& letter : letters)
        print(text_of(letter) + "\n");
    return letters.empty() ? Exit::nothing : Exit::done;
}

// So many at a time that the next batch is due when this one is done.
Exit settle_all(const Context& context, const DlqOptions& options, const std::string& queue,
                wire::SettleVerb verb, const std::vector<Letter>& letters) {
    std::vector<std::uint64_t> sequences;
    for (const Letter& letter : letters)
        sequences.push_back(letter.sequence);
    Settling settling(context, queue, verb, options.json);
    settling.to = options.to;
    if (sequences.empty()) return settling.report(Exit::nothing);
    if (options.dry_run) return settling.report_dry(sequences.size());
    const std::size_t batch =
        options.rate
            ? static_cast<std::size_t>(std::clamp<std::uint64_t>(*options.rate / 10, 1, batch_most))
            : batch_most;
    const auto begun = std::chrono::steady_clock::now();
    for (std::size_t from = 0; from < sequences.size(); from += batch) {
        if (options.rate) {
            std::this_thread::sleep_until(
                begun + std::chrono::nanoseconds(from * 1'000'000'000 / *options.rate));
        }
        const std::size_t count = std::min(batch, sequences.size() - from);
        const auto first = sequences.begin() + static_cast<std::ptrdiff_t>(from);
        settling.run({first, first + static_cast<std::ptrdiff_t>(count)});
    }
    return settling.report(Exit::failed);
}

Exit run_dlq(const Context& context, const DlqOptions& options) {
    if (options.words.size() < 2) {
        throw Failure(Exit::usage,
                      "dlq: needs ls, show, redrive or purge, and the name of a queue");
    }
    const std::string& what = options.words[0];
    const std::vector<std::uint64_t> chosen = sequences_of("dlq", options.words, 2);
    static constexpr std::string_view known[] = {"ls", "show", "redrive", "purge"};
    if (std::find(std::begin(known), std::end(known), what) == std::end(known)) {
        throw Failure(Exit::usage,
                      fmt::format("dlq: '{}'; it is ls, show, redrive or purge", escape(what)));
    }
    const std::string queue = dead_letter_queue_of(context, options.words[1]);
    Filter filter = options.filter;
    filter.sequences = chosen;
    std::vector<Letter> letters;
    if (queue.empty()) {
        throw Failure(Exit::nothing,
                      fmt::format("queue '{}' has no dead-letter queue yet", options.words[1]));
    }
    letters = read_letters(context, queue, filter, what == "show" || options.json);
    if (what == "ls") return list(letters, options.json);
    if (what == "show") return show(letters, options.json);
    return settle_all(context, options, queue,
                      what == "redrive" ? wire::SettleVerb::redrive : wire::SettleVerb::discard,
                      letters);
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<DlqOptions>();
    command.words("WORDS", "ls|show|redrive|purge NAME [SEQUENCE...]", options->words);
    command.text("--reason", "REASON",
                 "Only these: rejected, expired, crashed (with any signal), crashed:SIGSEGV, "
                 "max-deliveries",
                 options->filter.reason);
    command.duration("--older-than", "Only those moved at least so long ago",
                     options->filter.older_than);
    command.count("--rate", "N", "redrive, purge: so many a second at most", options->rate);
    command.text("--to", "QUEUE", "redrive: there, and not where they came from", options->to);
    command.flag("--dry-run", "redrive, purge: only say how many", options->dry_run);
    command.json(options->json);
    return [options, &context] { return run_dlq(context, *options); };
}

}  // namespace

constinit const Verb dlq_verb{"dlq", "Look at dead letters, send them back, drop them", example,
                              prepare};

}  // namespace shmq::cli
