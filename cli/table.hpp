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
    };

    explicit Table(std::initializer_list<Column> columns) : columns_(columns) {}
    // REQUIRES: as many cells as columns. `alarming`: somebody has to look at it.
    void add_row(std::vector<std::string> cells, bool alarming = false);
    // Title line and rows; no blanks at the end of a line.
    std::string text(bool coloured = false) const;

  private:
    std::vector<Column> columns_;
    struct Row {
        std::vector<std::string> cells;
        bool alarming = false;
    };

    std::vector<Row> rows_;
};

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
