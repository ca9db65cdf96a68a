// How values of shmqd.toml are taken, kind by kind. Each answers what is wrong, or nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/configuration/setting.hpp"

namespace shmq::daemon {

std::string take_text(const ConfigurationValue& value, std::string& into);
std::string take_flag(const ConfigurationValue& value, bool& into);
std::string take_count(const ConfigurationValue& value, std::uint64_t least, std::uint64_t most,
                       std::uint64_t& into);
std::string take_size(const ConfigurationValue& value, std::uint64_t& into);
std::string take_duration(const ConfigurationValue& value, std::uint64_t& into_ns);
// Three octal digits: "750", or 0o750.
std::string take_mode(const ConfigurationValue& value, std::uint32_t& into);
// A name that the system knows, or a number.
std::string take_user(const ConfigurationValue& value, std::uint32_t& into);
std::string take_group(const ConfigurationValue& value, std::uint32_t& into);
// One of `tokens`; `into` is its place.
std::string take_choice(const ConfigurationValue& value, std::span<const std::string_view> tokens,
                        std::size_t& into);

// A string for a file.
std::string quoted_value(std::string_view text);

}  // namespace shmq::daemon
