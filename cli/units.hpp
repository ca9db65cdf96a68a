// Sizes and durations as people write them, and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace shmq::cli {

// `65536`, `64K`, `64KiB` (powers of 1024), `64kB` (powers of 1000); fractions where they come to
// whole bytes (`1.5G`). The error says what is wrong, for people.
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);

// `1.5s`, `200ms`, `2m`, `1h30m`; units ns us ms s m h d; a bare number means seconds.
// At most 100 years, so that a deadline from now never overflows.
std::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text);

// Rights as octal digits: `750`, `0750`.
std::expected<std::uint32_t, std::string> parse_mode(std::string_view text);

// Exact where a unit divides it (`64 MiB`), else with one digit behind the point (`1.3 MiB`).
std::string format_size(std::uint64_t size_bytes);
// Two significant steps: `1.50 s`, `12.0 ms`, `3h 12m`, `2d 4h`.
std::string format_duration(std::chrono::nanoseconds duration);
// The shortest text that parse_duration reads back to the same value: `30s`, `1500ms`.
std::string format_duration_exact(std::chrono::nanoseconds duration);
// With thousands separators: `1,234,567`.
std::string format_count(std::uint64_t count);

}  // namespace shmq::cli
