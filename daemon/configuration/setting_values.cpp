#include "daemon/configuration/setting_values.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>

namespace shmq::daemon {
namespace {

constexpr std::uint32_t mode_max = 0777;

const std::string* text_of(const ConfigurationValue& value) {
    return std::get_if<std::string>(&value);
}

// A whole number that is not negative.
std::optional<std::uint64_t> number_of(const ConfigurationValue& value) {
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr || *number < 0) return {};
    return static_cast<std::uint64_t>(*number);
}

std::string is_not(const ConfigurationValue& value, std::string_view wanted) {
    const char* is = "is no value";
    if (std::holds_alternative<bool>(value)) is = "is true or false";
    if (std::holds_alternative<std::int64_t>(value)) is = "is a number";
    if (std::holds_alternative<double>(value)) is = "is a number with a fraction";
    if (const auto* text = text_of(value)) return fmt::format("\"{}\" {}", *text, wanted);
    return fmt::format("{}; it {}", is, wanted);
}

template <typename Lookup>
std::string take_id(const ConfigurationValue& value, std::string_view what, Lookup lookup,
                    std::uint32_t& into) {
    if (const auto number = number_of(value); number && *number < UINT32_MAX) {
        into = static_cast<std::uint32_t>(*number);
        return {};
    }
    const std::string* text = text_of(value);
    if (text != nullptr && lookup(text->c_str(), into)) return {};
    return is_not(value, fmt::format("is no {} of this system: give a name or a number", what));
}

}  // namespace

std::string take_text(const ConfigurationValue& value, std::string& into) {
    const std::string* text = text_of(value);
    if (text == nullptr || text->empty()) return is_not(value, "has to be some text in quotes");
    into = *text;
    return {};
}

std::string take_flag(const ConfigurationValue& value, bool& into) {
    const bool* flag = std::get_if<bool>(&value);
    if (flag == nullptr) return is_not(value, "has to be true or false, without quotes");
    into = *flag;
    return {};
}

std::string take_count(const ConfigurationValue& value, std::uint64_t least, std::uint64_t most,
                       std::uint64_t& into) {
    const auto number = number_of(value);
    if (!number) return is_not(value, fmt::format("has to be a number, {} to {}", least, most));
    if (*number < least || *number > most)
        return fmt::format("{} is out of bounds; it has to be {} to {}", *number, least, most);
    into = *number;
    return {};
}

std::string take_size(const ConfigurationValue& value, std::uint64_t& into) {
    auto size = number_of(value);
    if (const std::string* text = text_of(value)) size = parse_size(*text);
    if (!size) return is_not(value, "has to be a size: write \"64MiB\" or \"4G\"");
    into = *size;
    return {};
}

std::string take_duration(const ConfigurationValue& value, std::uint64_t& into_ns) {
    std::optional<Nanoseconds> time;
    if (const std::string* text = text_of(value)) {
        time = parse_duration(*text);
    } else if (const auto seconds = number_of(value)) {
        time = parse_duration(std::to_string(*seconds));
    } else if (const auto* fraction = std::get_if<double>(&value)) {
        time = parse_duration(fmt::format("{:f}", *fraction));
    }
    if (!time) return is_not(value, "has to be a time: write \"1.5s\", \"250ms\" or \"2h\"");
    into_ns = static_cast<std::uint64_t>(*time);
    return {};
}

std::string take_mode(const ConfigurationValue& value, std::uint32_t& into) {
    constexpr std::string_view wanted =
        "has to be a mode: three octal digits as in \"750\" or 0o750";
    std::uint64_t mode = UINT64_MAX;
    if (const std::string* text = text_of(value)) {
        const auto [end, error] =
            std::from_chars(text->data(), text->data() + text->size(), mode, 8);
        if (error != std::errc{} || end != text->data() + text->size()) mode = UINT64_MAX;
    } else if (const auto number = number_of(value)) {
        mode = *number;
    }
    if (mode > mode_max) return is_not(value, wanted);
    into = static_cast<std::uint32_t>(mode);
    return {};
}

std::string take_user(const ConfigurationValue& value, std::uint32_t& into) {
    return take_id(
        value, "user",
        [](const char* name, std::uint32_t& id) {
            const passwd* found = ::getpwnam(name);
            if (found != nullptr) id = found->pw_uid;
            return found != nullptr;
        },
        into);
}

std::string take_group(const ConfigurationValue& value, std::uint32_t& into) {
    return take_id(
        value, "group",
        [](const char* name, std::uint32_t& id) {
            const group* found = ::getgrnam(name);
            if (found != nullptr) id = found->gr_gid;
            return found != nullptr;
        },
        into);
}

std::string take_choice(const ConfigurationValue& value, std::span<const std::string_view> tokens,
                        std::size_t& into) {
    if (const std::string* text = text_of(value)) {
        const auto found = std::find(tokens.begin(), tokens.end(), *text);
        if (found != tokens.end()) {
            into = static_cast<std::size_t>(found - tokens.begin());
            return {};
        }
    }
    return is_not(value, fmt::format("has to be one of \"{}\"", fmt::join(tokens, "\", \"")));
}

std::string quoted_value(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", byte);
        } else {
            out += c;
        }
    }
    return out + '"';
}

namespace {

struct Unit {
    std::uint64_t factor;
    std::string_view name;
};

// In the largest unit that it is a whole number of.
std::string with_unit(std::uint64_t value, std::span<const Unit> units) {
    for (const Unit& unit : units) {
        if (value != 0 && value % unit.factor == 0)
            return fmt::format("\"{}{}\"", value / unit.factor, unit.name);
    }
    return "0";
}

}  // namespace

std::string duration_value(std::uint64_t ns) {
    static constexpr Unit units[] = {{86'400'000'000'000, "d"},
                                     {3'600'000'000'000, "h"},
                                     {60'000'000'000, "m"},
                                     {1'000'000'000, "s"},
                                     {1'000'000, "ms"},
                                     {1'000, "us"},
                                     {1, "ns"}};
    return with_unit(ns, units);
}

std::string size_value(std::uint64_t bytes) {
    static constexpr Unit units[] = {{std::uint64_t{1} << 40, "TiB"},
                                     {std::uint64_t{1} << 30, "GiB"},
                                     {std::uint64_t{1} << 20, "MiB"},
                                     {std::uint64_t{1} << 10, "KiB"},
                                     {1, "B"}};
    return with_unit(bytes, units);
}

}  // namespace shmq::daemon
