#include <csignal>

#include "cli/command.hpp"

int main(int argument_count, char** arguments) {
    // A reader that went away is an error of write, to be reported, and not a death without a word.
    std::signal(SIGPIPE, SIG_IGN);
    const std::span<const char* const> words(arguments, static_cast<std::size_t>(argument_count));
    return static_cast<int>(shmq::cli::run(words.subspan(words.empty() ? 0 : 1)));
}
