#include "cli/text.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include <fmt/format.h>

namespace shmq::cli {
namespace {

unsigned byte_at(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

// Length of the valid sequence at `at`, or 0. Overlong forms, surrogates and what lies beyond
// U+10FFFF are invalid: the second byte's bounds say so.
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const unsigned lead = byte_at(text, at);
    if (lead < 0x80) return 1;
    const std::size_t length = lead < 0xC2   ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    if (length == 0 || text.size() - at < length) return 0;
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte_at(text, at + 1) < low || byte_at(text, at + 1) > high) return 0;
    for (std::size_t i = 2; i < length; ++i) {
        if ((byte_at(text, at + i) & 0xC0) != 0x80) return 0;
    }
    return length;
}

void append_escaped(std::string& out, std::string_view bytes) {
    for (const char c : bytes) {
        switch (c) {
            case '\n':
                out += "\\n";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\\':
                out += "\\\\";
                break;
            default:
                fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
}

// Letters exchanged, left out, added or replaced, each counted once.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> steps(a.size() + 1,
                                                std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i)
        steps[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j)
        steps[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = steps[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            steps[i][j] = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                steps[i][j] = std::min(steps[i][j], steps[i - 2][j - 2] + 1);
            }
        }
    }
    return steps[a.size()][b.size()];
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t length = sequence_length(text, at);
        if (length == 0) break;
        at += length;
    }
    return at;
}

std::string escape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = sequence_length(text, at);
        const unsigned lead = byte_at(text, at);
        const bool printable = length == 1   ? lead >= 0x20 && lead != 0x7F && lead != '\\'
                               : length == 2 ? !(lead == 0xC2 && byte_at(text, at + 1) < 0xA0)
                                             : length != 0;
        const std::string_view bytes = text.substr(at, std::max<std::size_t>(length, 1));
        if (printable) {
            out += bytes;
        } else {
            append_escaped(out, bytes);
        }
        at += bytes.size();
    }
    return out;
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < count ? byte_at(bytes, at + i) : 0u);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            out += i <= count ? digits[group >> (18 - 6 * i) & 63] : '=';
        }
    }
    return out;
}

std::string hex_dump(std::string_view bytes) {
    constexpr std::size_t width = 16;
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += width) {
        fmt::format_to(std::back_inserter(out), "{:08x} ", at);
        std::string printable;
        for (std::size_t i = 0; i < width; ++i) {
            if (i == width / 2) out += ' ';
            if (at + i >= bytes.size()) {
                out += "   ";
                continue;
            }
            const unsigned byte = byte_at(bytes, at + i);
            fmt::format_to(std::back_inserter(out), " {:02x}", byte);
            printable += byte >= 0x20 && byte < 0x7F ? static_cast<char>(byte) : '.';
        }
        fmt::format_to(std::back_inserter(out), "  |{}|\n", printable);
    }
    return out;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> names) {
    // Half the letters may be wrong in a short word, three in a long one.
    std::size_t best = std::min<std::size_t>(word.size() / 2, 3) + 1;
    std::string_view found;
    for (const std::string_view name : names) {
        if (word.size() >= 2 && name.starts_with(word)) return name;
        const std::size_t steps = distance(word, name);
        if (steps < best) {
            best = steps;
            found = name;
        }
    }
    return found;
}

}  // namespace shmq::cli
