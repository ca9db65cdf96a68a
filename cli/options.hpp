// What a verb says about its command line. Behind it is CLI11, which costs many seconds a file to
// compile; only command_line.cpp pays.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace shmq::cli {

// Thrown while a value is taken: a usage error that names the option.
class BadValue : public std::exception {
  public:
    explicit BadValue(std::string text) : text_(std::move(text)) {}
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::string text_;
};

// Targets must live until the verb's action has ended. Values are taken while the command line is
// read, so that a bad one is a usage error.
class Options {
  public:
    using Take = std::function<void(const std::string&)>;
    // Of one option, to say how it goes with others.
    using Handle = CLI::Option*;

    explicit Options(CLI::App& app) : app_(app) {}

    // The positional NAME of a queue, checked.
    void name(std::string& target, const char* label = "NAME",
              const char* help = "Name of the queue");
    // The same, and it may be left out: empty.
    void optional_name(std::string& target, const char* help);
    // A positional word that must be there.
    void required_text(const char* label, const char* help, std::string& target);
    // Positional words of any number.
    void words(const char* label, const char* help, std::vector<std::string>& target);

    Handle flag(const char* flags, const char* help, bool& target);
    Handle json(bool& target);
    // --watch: do it every so often (cli/watch.hpp). For verbs that only show something.
    void watch();
    std::optional<std::chrono::nanoseconds> watch_every;
    // For our own scripts: not in --help.
    Handle hidden_flag(const char* flags, bool& target);
    Handle text(const char* flags, const char* type, const char* help, std::string& target);
    Handle value(const char* flags, const char* type, const char* help, Take take);
    Handle duration(const char* flags, const char* help,
                    std::optional<std::chrono::nanoseconds>& target);
    // Sizes and counts refuse 0: the library takes it for "the default", and nobody means nothing.
    Handle size(const char* flags, const char* type, const char* help, std::uint64_t& target);
    Handle count(const char* flags, const char* type, const char* help,
                 std::optional<std::uint64_t>& target);
    // The two may not be given together.
    static void exclude(Handle one, Handle other);

  private:
    CLI::App& app_;
};

}  // namespace shmq::cli
