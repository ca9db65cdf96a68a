// Aligned columns in plain ASCII.
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
    // REQUIRES: as many cells as columns.
    void add_row(std::vector<std::string> cells);
    // Title line and rows; no blanks at the end of a line.
    std::string text() const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

// `key  value` lines, the values below each other.
class Fields {
  public:
    void add(std::string_view key, std::string value) {
        rows_.emplace_back(std::string(key), std::move(value));
    }
    std::string text() const;

  private:
    std::vector<std::pair<std::string, std::string>> rows_;
};

}  // namespace shmq::cli
