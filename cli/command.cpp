#include "cli/command.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

constexpr char mark = '\x01';

constexpr std::array<const Verb*, 11> all_verbs{
    &create_verb, &ls_verb,   &info_verb,    &status_verb, &rm_verb,     &purge_verb,
    &send_verb,   &recv_verb, &pending_verb, &peek_verb,   &version_verb};

const Verb* find_verb(std::string_view name) {
    const auto found = std::find_if(all_verbs.begin(), all_verbs.end(),
                                    [&](const Verb* verb) { return verb->name == name; });
    return found == all_verbs.end() ? nullptr : *found;
}

std::uint64_t parse_number(const std::string& flag, const std::string& text) {
    const auto number = parse_size(text);
    if (!number) {
        throw CLI::ValidationError(flag, fmt::format("'{}': {}", escape(text), number.error()));
    }
    return *number;
}

[[noreturn]] void refuse_verb(const std::string& word) {
    std::vector<std::string_view> names;
    for (const Verb* verb : all_verbs)
        names.push_back(verb->name);
    const std::string_view near = nearest(word, names);
    throw Failure(Exit::usage,
                  fmt::format("'{}': no such verb; {}", escape(word),
                              near.empty() ? std::string("see 'shmq --help'")
                                           : fmt::format("did you mean 'shmq {}'?", near)));
}

void describe_program(CLI::App& app, Context& context) {
    app.name("shmq");
    app.description(
        "Queues in shared memory, between the processes of one host.\n"
        "'shmq VERB --help' says more about a verb and gives an example.");
    app.footer(
        "Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing there or timed out, 4 no daemon.\n"
        "Sizes: 65536, 64K, 64MiB. Durations: 200ms, 1.5s, 2m.");
    app.set_version_flag("--version", fmt::format("shmq {}", version()), "Print the version");
    app.add_option("--socket", context.socket,
                   "The daemon's socket (default: $SHMQ_SOCKET, else your own daemon's, else the "
                   "system's)")
        ->type_name("PATH")
        ->check([](const std::string& path) {
            return path.empty() ? std::string("an empty path") : std::string();
        });
    app.require_subcommand(1);
    app.fallthrough();
    app.get_formatter()->column_width(32);
}

// What CLI11 has to say, as one of our error lines or as help on standard output.
Exit finish_parse(const CLI::App& app, const CLI::ParseError& error, const std::string& verb) {
    if (error.get_exit_code() == 0) {
        const bool help = dynamic_cast<const CLI::CallForVersion*>(&error) == nullptr;
        std::string text = help ? app.help() : std::string(error.what());
        if (text.empty() || text.back() != '\n') text += '\n';
        print(text);
        return Exit::done;
    }
    const std::string prefix = verb.empty() ? "" : verb + ": ";
    const std::string see = verb.empty() ? "shmq --help" : fmt::format("shmq {} --help", verb);
    throw Failure(Exit::usage, fmt::format("{}{}; see '{}'", prefix, escape(error.what()), see));
}

Exit parse_and_run(std::span<const char* const> words) {
    Arguments arguments = split_arguments(words);
    if (!arguments.verb.empty() && find_verb(arguments.verb) == nullptr) {
        refuse_verb(unmark(arguments.verb));
    }
    Context context;
    context.tail = std::move(arguments.tail);
    CLI::App app;
    describe_program(app, context);
    Action action;
    for (const Verb* verb : all_verbs) {
        CLI::App* sub = app.add_subcommand(std::string(verb->name), std::string(verb->summary));
        sub->footer(fmt::format("Example:\n{}", verb->example));
        // Options of the other verbs are never looked at: not made, they cost nothing.
        if (verb->name == arguments.verb) action = verb->prepare(*sub, context);
    }
    std::reverse(arguments.words.begin(), arguments.words.end());  // as CLI11 wants them
    try {
        app.parse(arguments.words);
    } catch (const CLI::ParseError& error) {
        return finish_parse(app, error, arguments.verb);
    }
    return action();
}

}  // namespace

std::span<const Verb* const> verbs() {
    return all_verbs;
}

Exit status_of(Condition condition) {
    switch (condition) {
        case Condition::nothing:
        case Condition::timed_out:
            return Exit::nothing;
        case Condition::invalid_argument:
            return Exit::usage;
        case Condition::no_daemon:
            return Exit::no_daemon;
        default:
            return Exit::failed;
    }
}

void fail(const Error& error, std::string_view doing) {
    const std::string message = escape(error.message());
    throw Failure(status_of(error.condition()),
                  doing.empty() ? message : fmt::format("{}: {}", doing, message));
}

Client Context::connect(bool start_daemon) const {
    ConnectOptions options;
    options.socket = socket;
    options.start_daemon = start_daemon;
    return need(Client::connect(options));
}

CLI::Option* add_name(CLI::App& app, std::string& name) {
    return app
        .add_option_function<std::string>(
            "NAME",
            [&name](const std::string& text) {
                if (const std::string wrong = check_queue_name(text); !wrong.empty()) {
                    throw CLI::ValidationError("NAME", wrong);
                }
                name = text;
            },
            "Name of the queue")
        ->required()
        ->type_name("");
}

CLI::Option* add_json(CLI::App& app, bool& json) {
    return app.add_flag("--json", json, "Print JSON instead of text for people");
}

CLI::Option* add_duration(CLI::App& app, const std::string& flag,
                          std::optional<std::chrono::nanoseconds>& target,
                          const std::string& help) {
    return app
        .add_option_function<std::string>(
            flag,
            [flag, &target](const std::string& text) {
                const auto duration = parse_duration(text);
                if (!duration) {
                    throw CLI::ValidationError(
                        flag, fmt::format("'{}': {}", escape(text), duration.error()));
                }
                target = *duration;
            },
            help)
        ->type_name("DURATION");
}

CLI::Option* add_size(CLI::App& app, const std::string& flag, std::uint64_t& target,
                      const std::string& help) {
    return app
        .add_option_function<std::string>(
            flag,
            [flag, &target](const std::string& text) {
                target = parse_number(flag, text);
                if (target == 0)
                    throw CLI::ValidationError(flag, "0; it must be more than nothing");
            },
            help)
        ->type_name("SIZE");
}

CLI::Option* add_count(CLI::App& app, const std::string& flag, std::optional<std::uint64_t>& target,
                       const std::string& help) {
    return app
        .add_option_function<std::string>(
            flag,
            [flag, &target](const std::string& text) {
                target = parse_number(flag, text);
                if (*target == 0) throw CLI::ValidationError(flag, "0; ask for at least 1");
            },
            help)
        ->type_name("COUNT");
}

Arguments split_arguments(std::span<const char* const> words) {
    Arguments out;
    bool socket_next = false;
    bool verb_known = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view word = words[i];
        const Verb* verb = find_verb(out.verb);
        if (word == "--" && verb != nullptr && verb->takes_tail) {
            out.tail.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
            break;
        }
        const bool special = word.starts_with('[') || word.starts_with(mark);
        out.words.push_back(special ? std::string(1, mark) + std::string(word) : std::string(word));
        if (verb_known || socket_next) {
            socket_next = false;
        } else if (word == "--socket") {
            socket_next = true;
        } else if (!word.starts_with('-')) {
            out.verb = out.words.back();
            verb_known = true;
        }
    }
    return out;
}

std::string unmark(std::string_view word) {
    if (word.starts_with(mark)) word.remove_prefix(1);
    return std::string(word);
}

Exit run(std::span<const char* const> words) {
    try {
        return parse_and_run(words);
    } catch (const Failure& failure) {
        complain(failure.what());
        return failure.status();
    } catch (const std::exception& error) {
        complain(error.what());
        return Exit::failed;
    }
}

}  // namespace shmq::cli
