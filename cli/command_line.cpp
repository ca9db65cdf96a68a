#include "cli/command_line.hpp"

#include <algorithm>
#include <memory>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "cli/watch.hpp"

namespace shmq::cli {
namespace {

constexpr char mark = '\x01';

constexpr auto watch_least = std::chrono::milliseconds(50);

constexpr std::size_t help_column = 32;  // where what an option does begins

// Help in lines that fit the terminal; as they are elsewhere.
class WrappingFormatter : public CLI::Formatter {
  public:
    std::string make_option_desc(const CLI::Option* option) const override {
        return fitted(option->get_description());
    }
    std::string make_subcommand(const CLI::App* verb) const override {
        std::ostringstream out;
        CLI::detail::format_help(out, verb->get_display_name(true), fitted(verb->get_description()),
                                 help_column);
        return out.str();
    }

  private:
    static std::string fitted(const std::string& text) {
        constexpr std::size_t least = 20;
        const std::size_t width = terminal_width();
        return wrap(text, width == 0 ? 0 : std::max(width, help_column + least) - help_column);
    }
};

[[noreturn]] void refuse_verb(const std::string& word) {
    std::vector<std::string_view> names;
    for (const Verb* verb : verbs())
        names.push_back(verb->name);
    const std::string_view near = nearest(word, names);
    throw Failure(Exit::usage,
                  fmt::format("'{}': no such verb; {}", escape(word),
                              near.empty() ? std::string("see 'shmq --help'")
                                           : fmt::format("did you mean 'shmq {}'?", near)));
}

std::uint64_t parse_number(const std::string& text) {
    const auto number = parse_size(text);
    if (!number) throw BadValue(fmt::format("'{}': {}", escape(text), number.error()));
    if (*number == 0) throw BadValue("0; it must be more than nothing");
    return *number;
}

void describe_program(CLI::App& app, Context& context) {
    // Before there are subcommands: they get it, too.
    app.formatter(std::make_shared<WrappingFormatter>());
    app.get_formatter()->column_width(help_column);
    app.name("shmq");
    const std::size_t width = terminal_width();
    app.description(
        wrap("Queues in shared memory, between the processes of one host.\n"
             "'shmq VERB --help' says more about a verb and gives an example.",
             width));
    app.footer(
        wrap("Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing there or timed out, "
             "4 no daemon.\n"
             "Sizes: 65536, 64K, 64MiB. Durations: 200ms, 1.5s, 2m.",
             width));
    app.set_version_flag("--version", fmt::format("shmq {}", version()), "Print the version");
    app.add_option(
           "--socket", context.socket,
           "The daemon's socket (default: $SHMQ_SOCKET, else your own daemon's, else the system's)")
        ->type_name("PATH")
        ->check([](const std::string& path) {
            return path.empty() ? std::string("an empty path") : std::string();
        });
    app.add_option_function<std::string>(
           "--color",
           [](const std::string& when) {
               set_colour(when == "always"  ? Colour::always
                          : when == "never" ? Colour::never
                                            : Colour::automatic);
           },
           "When to use colours (default auto: on a terminal, unless $NO_COLOR is set)")
        ->type_name("auto|always|never")
        ->check([](const std::string& when) {
            return when == "auto" || when == "always" || when == "never"
                       ? std::string()
                       : fmt::format("'{}'; it is auto, always or never", escape(when));
        });
    app.require_subcommand(1);
    app.fallthrough();
}

// `: did you mean --json?` for an option that is not there.
std::string suggestion(const CLI::App& app, const std::string& what, const std::string& verb) {
    const std::size_t dashes = what.find(" --");
    if (what.find("not expected") == std::string::npos || dashes == std::string::npos) return {};
    const std::size_t end = std::min(what.find_first_of(" =,", dashes + 1), what.size());
    const std::string word = what.substr(dashes + 3, end - dashes - 3);
    std::vector<std::string_view> names;
    const auto add = [&names](const CLI::App& options) {
        for (const CLI::Option* option : options.get_options()) {
            if (option->get_group().empty()) continue;
            for (const std::string& name : option->get_lnames())
                names.push_back(name);
        }
    };
    add(app);
    if (!verb.empty()) add(*app.get_subcommand(verb));
    const std::string_view near = nearest(word, names);
    return near.empty() ? std::string() : fmt::format(": did you mean --{}?", near);
}

// What CLI11 has to say, as help on standard output or as one of our error lines.
Action finish_parse(const CLI::App& app, const CLI::ParseError& error, const std::string& verb) {
    if (error.get_exit_code() == 0) {
        const bool help = dynamic_cast<const CLI::CallForVersion*>(&error) == nullptr;
        std::string text = help ? app.help() : std::string(error.what());
        if (text.empty() || text.back() != '\n') text += '\n';
        return [text] {
            print(text);
            return Exit::done;
        };
    }
    std::string what = error.what();
    std::erase(what, mark);
    what += suggestion(app, what, verb);
    const std::string prefix = verb.empty() ? "" : verb + ": ";
    const std::string see = verb.empty() ? "shmq --help" : fmt::format("shmq {} --help", verb);
    throw Failure(Exit::usage, fmt::format("{}{}; see '{}'", prefix, escape(what), see));
}

}  // namespace

// ---- Options -----------------------------------------------------------------------------------

void Options::name(std::string& target, const char* label, const char* help) {
    value(label, "", help, [&target](const std::string& text) {
        if (const std::string wrong = check_queue_name(text); !wrong.empty()) throw BadValue(wrong);
        target = text;
    })->required();
}

void Options::optional_name(std::string& target, const char* help) {
    value("NAME", "", help, [&target](const std::string& text) {
        if (const std::string wrong = check_queue_name(text); !wrong.empty()) throw BadValue(wrong);
        target = text;
    });
}

void Options::watch() {
    value("--watch", "[INTERVAL]", "Again every so often (default 1s), until SIGINT",
          [this](const std::string& text) {
              const auto parsed = parse_duration(text);
              if (!parsed) throw BadValue(fmt::format("'{}': {}", escape(text), parsed.error()));
              watch_every = std::max<std::chrono::nanoseconds>(*parsed, watch_least);
          });
}

void Options::required_text(const char* label, const char* help, std::string& target) {
    text(label, "", help, target)->required();
}

void Options::words(const char* label, const char* help, std::vector<std::string>& target) {
    app_.add_option(label, target, help)->type_name("")->expected(-1);
}

Options::Handle Options::flag(const char* flags, const char* help, bool& target) {
    return app_.add_flag(flags, target, help);
}

Options::Handle Options::json(bool& target) {
    return flag("--json", "Print JSON instead of text for people", target);
}

Options::Handle Options::hidden_flag(const char* flags, bool& target) {
    return app_.add_flag(flags, target)->group("");
}

Options::Handle Options::text(const char* flags, const char* type, const char* help,
                              std::string& target) {
    return value(flags, type, help, [&target](const std::string& text) { target = text; });
}

Options::Handle Options::value(const char* flags, const char* type, const char* help, Take take) {
    // The long form is the one that errors name.
    std::string label = flags;
    if (const std::size_t comma = label.rfind(','); comma != std::string::npos) {
        label.erase(0, comma + 1);
    }
    const auto checked = [label, take = std::move(take)](const std::string& text) {
        try {
            take(unmark(text));
        } catch (const BadValue& bad) {
            throw CLI::ValidationError(label, bad.what());
        }
    };
    return app_.add_option_function<std::string>(flags, checked, help)->type_name(type);
}

Options::Handle Options::duration(const char* flags, const char* help,
                                  std::optional<std::chrono::nanoseconds>& target) {
    return value(flags, "DURATION", help, [&target](const std::string& text) {
        const auto parsed = parse_duration(text);
        if (!parsed) throw BadValue(fmt::format("'{}': {}", escape(text), parsed.error()));
        target = *parsed;
    });
}

Options::Handle Options::size(const char* flags, const char* type, const char* help,
                              std::uint64_t& target) {
    return value(flags, type, help,
                 [&target](const std::string& text) { target = parse_number(text); });
}

Options::Handle Options::count(const char* flags, const char* type, const char* help,
                               std::optional<std::uint64_t>& target) {
    return value(flags, type, help,
                 [&target](const std::string& text) { target = parse_number(text); });
}

void Options::exclude(Handle one, Handle other) {
    one->excludes(other);
}

// ---- Words -------------------------------------------------------------------------------------

Arguments split_arguments(std::span<const char* const> words) {
    Arguments out;
    bool value_next = false;
    bool verb_known = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view word = words[i];
        // Its value may be left out, and what follows is no interval then.
        const bool interval =
            i + 1 < words.size() && words[i + 1][0] >= '0' && words[i + 1][0] <= '9';
        if (word == "--watch" && verb_known && !interval) word = "--watch=1s";
        const Verb* verb = find_verb(out.verb);
        if (word == "--" && verb != nullptr && verb->takes_tail) {
            out.tail.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
            break;
        }
        const bool special = word.starts_with('[') || word.starts_with(mark) || word == "++";
        out.words.push_back(special ? std::string(1, mark) + std::string(word) : std::string(word));
        if (verb_known || value_next) {
            value_next = false;
        } else if (word == "--socket" || word == "--color") {
            value_next = true;
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

Action parse(std::span<const char* const> words, Context& context) {
    Arguments arguments = split_arguments(words);
    if (!arguments.verb.empty() && find_verb(arguments.verb) == nullptr) {
        refuse_verb(unmark(arguments.verb));
    }
    context.tail = std::move(arguments.tail);
    CLI::App app;
    describe_program(app, context);
    Action action;
    std::optional<Options> options;
    for (const Verb* verb : verbs()) {
        CLI::App* sub = app.add_subcommand(std::string(verb->name), std::string(verb->summary));
        sub->group(std::string(group_of(*verb)));
        sub->footer(fmt::format("Example:\n{}", verb->example));
        // Options of the other verbs are never looked at: not made, they cost nothing.
        if (verb->name != arguments.verb) continue;
        options.emplace(*sub);
        action = verb->prepare(*options, context);
    }
    std::reverse(arguments.words.begin(),
                 arguments.words.end());  // as CLI11 wants them
    try {
        app.parse(arguments.words);
    } catch (const CLI::ParseError& error) {
        return finish_parse(app, error, arguments.verb);
    }
    context.socket = unmark(context.socket);
    if (options && options->watch_every) return watched(std::move(action), *options->watch_every);
    return action;
}

}  // namespace shmq::cli
