// The demo's input: which files, and their lines as messages.
//
// A message is PATH:LINE:CONTENT, as grep -n prints it, so that peek and recv show something to
// read. CONTENT is any bytes but a newline. Lines are counted from 1; a last line without a newline
// counts, an empty file has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace demo {

// Beyond these the demo would need more than the memory it promises to stay within.
constexpr std::uint64_t file_max_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t input_max_bytes = std::uint64_t{1} << 30;

// Regular files below some folders, sorted; symbolic links are not followed.
class Catalogue {
  public:
    explicit Catalogue(const std::vector<std::string>& folders);

    std::uint32_t size() const { return static_cast<std::uint32_t>(paths_.size()); }
    const std::string& path(std::uint32_t file) const { return paths_[file]; }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t largest_message() const { return largest_message_; }
    // What is not in it, as sentences.
    const std::vector<std::string>& remarks() const { return remarks_; }

    // Reads a whole file. False: it cannot be read.
    bool read(std::uint32_t file, std::string& content) const;

    struct Place {
        std::uint32_t file = 0;
        std::uint32_t line = 0;
    };
    // Which line a message says it is. False: none of this input.
    bool locate(std::string_view message, Place& place) const;

  private:
    void add_folder(const std::string& folder);

    std::vector<std::string> paths_;
    std::unordered_map<std::string_view, std::uint32_t> numbers_;  // views of paths_
    std::vector<std::string> remarks_;
    std::uint64_t bytes_ = 0;
    std::uint64_t largest_message_ = 0;
    std::uint64_t left_out_ = 0;
};

// Puts the message of one line in place of `message`.
void write_message(std::string& message, std::string_view path, std::uint32_t line,
                   std::string_view content);

// Calls `each(line_number, content)` for each line.
template <typename Each>
void for_each_line(std::string_view content, Each each) {
    std::uint32_t line = 0;
    while (!content.empty()) {
        const std::size_t end = content.find('\n');
        each(++line, content.substr(0, end));
        content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    }
}

inline std::uint64_t hash_of(std::string_view message) {
    return std::hash<std::string_view>{}(message);
}

}  // namespace demo
