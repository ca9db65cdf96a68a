// shmq version: the version of program and library; asks no daemon (see shmq status).
// Exit: 0.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/output.hpp"

namespace shmq::cli {
namespace {

constexpr std::string_view example = "  shmq version";

Action prepare(Options&, const Context&) {
    return [] {
        print(fmt::format("shmq {}\n", version()));
        return Exit::done;
    };
}

}  // namespace

constinit const Verb version_verb{"version", "Print the version", example, prepare};

}  // namespace shmq::cli
