// How queues are shown, as JSON and for people. Names of JSON members are for scripts: they stay.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include <shmq/queue.hpp>

#include "cli/json.hpp"

namespace shmq::cli {

// What queues' options are called on the command line, in the order of their numbers.
constexpr auto overflow_names =
    std::to_array<std::string_view>({"block", "reject", "drop-oldest", "spill"});
constexpr auto when_full_names = std::to_array<std::string_view>({"block", "reject"});
constexpr auto durability_names =
    std::to_array<std::string_view>({"accepted", "logged", "durable"});
constexpr auto gate_names =
    std::to_array<std::string_view>({"none", "direct", "journal", "closing"});
constexpr auto journal_state_names =
    std::to_array<std::string_view>({"none", "ok", "no room", "failed", "recovering"});

template <typename Enum>
std::string_view name_of(std::span<const std::string_view> names, Enum value) {
    const auto index = static_cast<std::size_t>(value);
    return index < names.size() ? names[index] : "unknown";
}
// Where `text` stands in `names`; throws BadValue, which says what it may be.
std::size_t place_of(const std::string& text, std::span<const std::string_view> names);
template <typename Enum>
Enum named(const std::string& text, std::span<const std::string_view> names) {
    return static_cast<Enum>(place_of(text, names));
}

Json to_json(const QueueInfo& queue);

}  // namespace shmq::cli
