#include "cli/units.hpp"

#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace shmq::cli {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr int fraction_digits_max = 18;

// A number with an optional fraction, kept exact: value = digits / divisor.
struct Decimal {
    Wide digits = 0;
    Wide divisor = 1;
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Takes the number at the front of `text`; nothing if there is none or it has too many digits.
std::optional<Decimal> take_decimal(std::string_view& text) {
    constexpr std::size_t digits_max = 20;
    Decimal number;
    std::size_t at = 0;
    while (at < text.size() && is_digit(text[at])) {
        number.digits = number.digits * 10 + static_cast<Wide>(text[at++] - '0');
    }
    if (at == 0 || at > digits_max) return std::nullopt;
    if (at < text.size() && text[at] == '.') {
        const std::size_t first = ++at;
        while (at < text.size() && is_digit(text[at])) {
            number.digits = number.digits * 10 + static_cast<Wide>(text[at++] - '0');
            number.divisor *= 10;
            if (at - first > fraction_digits_max) return std::nullopt;
        }
        if (at == first) return std::nullopt;
    }
    text.remove_prefix(at);
    return number;
}

void skip_blanks(std::string_view& text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
}

std::string_view take_unit(std::string_view& text) {
    skip_blanks(text);
    std::size_t length = 0;
    while (length < text.size() && std::isalpha(static_cast<unsigned char>(text[length])) != 0) {
        ++length;
    }
    const std::string_view unit = text.substr(0, length);
    text.remove_prefix(length);
    return unit;
}

std::optional<std::uint64_t> unit_of_size(std::string_view unit) {
    if (unit.empty() || unit == "B" || unit == "b") return 1;
    constexpr std::string_view letters = "kmgtp";
    const auto lower = static_cast<char>(std::tolower(static_cast<unsigned char>(unit.front())));
    const std::size_t power = letters.find(lower);
    if (power == std::string_view::npos) return std::nullopt;
    const std::string_view rest = unit.substr(1);
    const bool binary = rest.empty() || rest == "iB" || rest == "ib" || rest == "i";
    if (!binary && rest != "B" && rest != "b") return std::nullopt;
    std::uint64_t factor = 1;
    for (std::size_t i = 0; i <= power; ++i)
        factor *= binary ? 1024 : 1000;
    return factor;
}

struct TimeUnit {
    std::string_view name;
    std::int64_t ns;
};

constexpr std::array<TimeUnit, 7> time_units{{{"d", 86'400'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"s", 1'000'000'000},
                                              {"ms", 1'000'000},
                                              {"us", 1'000},
                                              {"ns", 1}}};

std::optional<std::int64_t> unit_of_time(std::string_view unit) {
    if (unit.empty()) return 1'000'000'000;
    for (const TimeUnit& candidate : time_units) {
        if (candidate.name == unit) return candidate.ns;
    }
    return std::nullopt;
}

// One digit behind the point, cut and not rounded: `1023.9 KiB` and never `1024.0 KiB`.
std::string with_tenths(std::uint64_t value, std::uint64_t unit, std::string_view name) {
    const std::uint64_t tenths = value % unit * 10 / unit;
    if (value % unit == 0) return fmt::format("{} {}", value / unit, name);
    return fmt::format("{}.{} {}", value / unit, tenths, name);
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
    std::string_view rest = text;
    const auto number = take_decimal(rest);
    const auto unit = unit_of_size(take_unit(rest));
    if (!number || !unit || !rest.empty()) {
        return std::unexpected<std::string>("not a size; write it like 65536, 64K or 64MiB");
    }
    const Wide scaled = number->digits * *unit;
    if (scaled % number->divisor != 0) return std::unexpected<std::string>("not whole bytes");
    const Wide size_bytes = scaled / number->divisor;
    if (size_bytes > UINT64_MAX) return std::unexpected<std::string>("beyond 64 bits");
    return static_cast<std::uint64_t>(size_bytes);
}

std::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text) {
    constexpr std::int64_t duration_max_ns = 36'500LL * 86'400'000'000'000;
    Wide total_ns = 0;
    std::string_view rest = text;
    do {
        const auto number = take_decimal(rest);
        const std::string_view name = take_unit(rest);
        skip_blanks(rest);
        const auto unit = unit_of_time(name);
        const bool bare_part = name.empty() && (total_ns != 0 || !rest.empty());
        if (!number || !unit || bare_part) {
            return std::unexpected<std::string>("not a duration; write it like 200ms, 1.5s or 2m");
        }
        total_ns += number->digits * static_cast<Wide>(*unit) / number->divisor;
        if (total_ns > static_cast<Wide>(duration_max_ns)) {
            return std::unexpected<std::string>("longer than 100 years");
        }
    } while (!rest.empty());
    return std::chrono::nanoseconds(static_cast<std::int64_t>(total_ns));
}

std::expected<std::uint32_t, std::string> parse_mode(std::string_view text) {
    std::uint32_t mode = 0;
    bool good = !text.empty() && text.size() <= 4;
    for (const char c : text) {
        good = good && c >= '0' && c <= '7';
        mode = mode * 8 + static_cast<std::uint32_t>(c - '0');
    }
    if (!good || mode > 0777) {
        return std::unexpected<std::string>(
            "not rights; write three octal digits for owner, group and others, each the sum of "
            "4 manage, 2 produce, 1 consume");
    }
    if (mode == 0) return std::unexpected<std::string>("would leave nobody any right");
    return mode;
}

std::string format_size(std::uint64_t size_bytes) {
    constexpr std::array<std::string_view, 5> names{"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
    std::uint64_t unit = 1024;
    std::size_t power = 0;
    while (power + 1 < names.size() && size_bytes / unit >= 1024) {
        unit *= 1024;
        ++power;
    }
    // 1536 KiB says more than 1.5 MiB only to a machine; people get the larger unit.
    return with_tenths(size_bytes, unit, names[power]);
}

std::string format_duration(std::chrono::nanoseconds duration) {
    const std::int64_t ns = duration.count() < 0 ? 0 : duration.count();
    const auto number = static_cast<double>(ns);
    if (ns < 1'000) return fmt::format("{} ns", ns);
    if (ns < 1'000'000) return fmt::format("{:.3g} us", number / 1e3);
    if (ns < 1'000'000'000) return fmt::format("{:.3g} ms", number / 1e6);
    const std::int64_t seconds = ns / 1'000'000'000;
    if (seconds < 60) return fmt::format("{:.3g} s", number / 1e9);
    if (seconds < 3'600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
    if (seconds < 86'400) return fmt::format("{}h {}m", seconds / 3'600, seconds % 3'600 / 60);
    return fmt::format("{}d {}h", seconds / 86'400, seconds % 86'400 / 3'600);
}

std::string format_duration_exact(std::chrono::nanoseconds duration) {
    const std::int64_t ns = duration.count();
    if (ns == 0) return "0s";
    for (const TimeUnit& unit : time_units) {
        if (ns % unit.ns == 0) return fmt::format("{}{}", ns / unit.ns, unit.name);
    }
    std::unreachable();
}

std::string format_count(std::uint64_t count) {
    std::string digits = std::to_string(count);
    for (std::size_t at = digits.size(); at > 3;) {
        at -= 3;
        digits.insert(at, 1, ',');
    }
    return digits;
}

}  // namespace shmq::cli
