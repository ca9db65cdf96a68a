// One table of what shmqd.toml may say, from which everything about it follows: reading, refusing
// what is unknown, printing what is in force. docs/man/shmqd.toml.5 explains each; a test compares.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/options.hpp"
#include "wire/control.hpp"

namespace shmq::daemon {

// Of a key in a file; monostate: a table, an array or a date, which no setting is.
using ConfigurationValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

template <typename Target>
struct Setting {
    std::string_view table;  // "": above all tables
    std::string_view name;
    std::string_view example;  // its value in a file; of what has no value by default
    std::string_view help;     // lines, for a comment
    // What is wrong with the value and what to write; empty: it is taken.
    std::function<std::string(const ConfigurationValue& value, Target& target)> take;
    // As in a file; empty: nothing is said.
    std::function<std::string(const Target& target)> show;
};

std::span<const Setting<Options>> daemon_settings();
// Of [defaults] and [queue.NAME]; owner is of the latter alone.
std::span<const Setting<wire::Options>> queue_settings();
std::span<const Setting<DeclaredQueue>> declared_queue_settings();

// "1.5s" and "64MiB", quoted, for a file; numbers where they are no whole number of a unit.
std::string duration_value(std::uint64_t ns);
std::string size_value(std::uint64_t bytes);

}  // namespace shmq::daemon
