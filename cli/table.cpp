#include "cli/table.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "cli/terminal.hpp"

namespace shmq::cli {
namespace {

// Columns on the terminal: characters, not bytes.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

}  // namespace

void Table::add_row(std::vector<std::string> cells, bool alarming) {
    rows_.push_back({std::move(cells), alarming});
}

std::string Table::text(bool coloured) const {
    return text(coloured, terminal_width());
}

// 0 for a column that is left out.
std::vector<std::size_t> Table::widths_within(std::size_t width) const {
    constexpr std::size_t gap = 2;
    constexpr std::size_t last_least = 8;  // of the last column, which is cut before anything wraps
    std::vector<std::size_t> widths;
    std::size_t total = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t widest = width_of(columns_[i].title);
        for (const Row& row : rows_)
            widest = std::max(widest, width_of(row.cells[i]));
        widths.push_back(std::max<std::size_t>(widest, 1));
        total += widths.back() + gap;
    }
    total -= gap;
    while (width != 0 && total > width) {
        const auto victim = std::max_element(
            columns_.begin(), columns_.end(), [&](const Column& a, const Column& b) {
                const auto weight = [&](const Column& column) {
                    return widths[static_cast<std::size_t>(&column - columns_.data())] == 0
                               ? 0
                               : column.drop;
                };
                return weight(a) < weight(b);
            });
        const auto index = static_cast<std::size_t>(victim - columns_.begin());
        if (victim->drop == 0 || widths[index] == 0) break;
        total -= widths[index] + gap;
        widths[index] = 0;
    }
    if (width != 0 && total > width) {
        const auto last = std::find_if(widths.rbegin(), widths.rend(),
                                       [](std::size_t each) { return each != 0; });
        const std::size_t spare = *last > last_least ? *last - last_least : 0;
        *last -= std::min(spare, total - width);
    }
    return widths;
}

std::string Table::text(bool coloured, std::size_t width) const {
    const std::vector<std::size_t> widths = widths_within(width);
    std::string out;
    const auto append_line = [&](const auto& cell_at, auto* in_colour) {
        std::string line;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            if (widths[i] == 0) continue;
            const std::string cell = cut_to(cell_at(i), widths[i]);
            const std::string padding(widths[i] - width_of(cell), ' ');
            const bool right = columns_[i].align == Align::right;
            fmt::format_to(std::back_inserter(line), "{}{}{}{}", line.empty() ? "" : "  ",
                           right ? padding : "", cell, right ? "" : padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += in_colour == nullptr ? line : in_colour(line);
        out += '\n';
    };
    append_line([&](std::size_t i) { return columns_[i].title; }, coloured ? as_title : nullptr);
    for (const Row& row : rows_) {
        append_line([&](std::size_t i) { return std::string_view(row.cells[i]); },
                    coloured && row.alarming ? as_alarm : nullptr);
    }
    return out;
}

std::string cut_to(std::string_view text, std::size_t characters) {
    if (width_of(text) <= characters) return std::string(text);
    if (characters == 0) return {};
    std::size_t at = 0;
    for (std::size_t seen = 0; at < text.size(); ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && seen++ == characters - 1) {
            break;
        }
    }
    return std::string(text.substr(0, at)) + "…";
}

std::string Fields::text(bool coloured) const {
    std::size_t width = 0;
    for (const Row& row : rows_)
        width = std::max(width, row.key.size());
    std::string out;
    for (const Row& row : rows_) {
        const std::string key = fmt::format("{:<{}}", row.key, width);
        fmt::format_to(std::back_inserter(out), "{}  {}\n", coloured ? as_title(key) : key,
                       coloured && row.alarming ? as_alarm(row.value) : row.value);
    }
    return out;
}

}  // namespace shmq::cli
