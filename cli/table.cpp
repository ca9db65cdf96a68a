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
    std::vector<std::size_t> widths;
    for (const Column& column : columns_)
        widths.push_back(width_of(column.title));
    for (const Row& row : rows_) {
        for (std::size_t i = 0; i < widths.size(); ++i) {
            widths[i] = std::max(widths[i], width_of(row.cells[i]));
        }
    }
    std::string out;
    const auto append_line = [&](const auto& cell_at, auto* in_colour) {
        std::string line;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            const std::string_view cell = cell_at(i);
            const std::string padding(widths[i] - width_of(cell), ' ');
            const bool right = columns_[i].align == Align::right;
            fmt::format_to(std::back_inserter(line), "{}{}{}{}", i == 0 ? "" : "  ",
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
