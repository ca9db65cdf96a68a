// From words to the action of a verb.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace shmq::cli {

struct Arguments {
    std::string verb;                // first word that is neither a global option nor its value
    std::vector<std::string> words;  // without argv[0], and without the tail if the verb takes one
    std::vector<std::string> tail;
};
// CLI11 (2.1) takes `[a,b]` for a list and `++` for an end, and loses words after `--`: messages
// must come through as they are, so such words travel marked until unmark() gives them back.
Arguments split_arguments(std::span<const char* const> words);
std::string unmark(std::string_view word);

// Parses, fills `context`, and returns what to do; for --help and --version that is printing.
// Failure with Exit::usage if the words are not understood.
Action parse(std::span<const char* const> words, Context& context);

}  // namespace shmq::cli
