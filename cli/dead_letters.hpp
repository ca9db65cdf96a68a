// The messages of a dead-letter queue with their histories, read without disturbing them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <shmq/message.hpp>

#include "cli/command.hpp"
#include "cli/json.hpp"

namespace shmq::cli {

struct Letter {
    std::uint64_t sequence = 0;       // here
    std::chrono::nanoseconds age{0};  // since it was moved, or sent to here
    std::uint64_t size = 0;
    std::string content;  // if it was asked for
    bool known = false;   // it has a history
    DeadLetter history;
};

struct Filter {
    std::string reason;  // empty: any. `crashed` stands for all `crashed:...`, too
    std::optional<std::chrono::nanoseconds> older_than;
    std::vector<std::uint64_t> sequences;  // empty: any
};

// The queue that has the dead letters of `name`: `name` itself if it says where to put none; empty
// if it is not there yet.
std::string dead_letter_queue_of(const Context& context, const std::string& name);
std::vector<Letter> read_letters(const Context& context, const std::string& queue,
                                 const Filter& filter, bool with_content);
bool lets_through(const Filter& filter, const Letter& letter);

Json to_json(const Letter& letter);
std::string text_of(const Letter& letter);  // for people, every field

}  // namespace shmq::cli
