// Aligned columns.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace shmq::cli {

class Table {
  public:
    enum class Align { left, right };
    struct Column {
        std::string_view title;
        Align align = Align::left;
        // Where the terminal is too narrow, columns go, the highest number first; 0 stays.
        int drop = 0;
    };

    explicit Table(std::initializer_list<Column> columns) : columns_(columns) {}
    // REQUIRES: as many cells as columns. `alarming`: somebody has to look at it.
    void add_row(std::vector<std::string> cells, bool alarming = false);
    // Title line and rows; no blanks at the end of a line. As many columns as fit into `width`
    // characters, and the last of them cut if need be; 0: all. Without one: as the terminal is.
    std::string text(bool coloured = false) const;
    std::string text(bool coloured, std::size_t width) const;

  private:
    std::vector<std::size_t> widths_within(std::size_t width) const;

    std::vector<Column> columns_;
    struct Row {
        std::vector<std::string> cells;
        bool alarming = false;
    };

    std::vector<Row> rows_;
};

// Its first characters, at most so many, the last one `…` where something is left out.
std::string cut_to(std::string_view text, std::size_t characters);

// `key  value` lines, the values below each other.
class Fields {
  public:
    // `alarming`: somebody has to look at it.
    void add(std::string_view key, std::string value, bool alarming = false) {
        rows_.push_back({std::string(key), std::move(value), alarming});
    }
    std::string text(bool coloured = false) const;

  private:
    struct Row {
        std::string key;
        std::string value;
        bool alarming = false;
    };

    std::vector<Row> rows_;
};

}  // namespace shmq::cli
