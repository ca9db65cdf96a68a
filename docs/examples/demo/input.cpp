#include "input.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace demo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t number_digits_max = 10;

}  // namespace

Catalogue::Catalogue(const std::vector<std::string>& folders) {
    for (const std::string& folder : folders)
        add_folder(folder);
    std::sort(paths_.begin(), paths_.end());
    paths_.erase(std::unique(paths_.begin(), paths_.end()), paths_.end());
    for (std::uint32_t file = 0; file < size(); ++file)
        numbers_.emplace(paths_[file], file);
    if (left_out_ != 0) {
        remarks_.push_back(std::to_string(left_out_) +
                           " files left out: unreadable, larger than 64 MiB, or beyond the first "
                           "GiB of input");
    }
}

void Catalogue::add_folder(const std::string& folder) {
    std::error_code error;
    const auto options = fs::directory_options::skip_permission_denied;
    fs::recursive_directory_iterator entry(folder, options, error);
    if (error) {
        remarks_.push_back(folder + " cannot be read (" + error.message() + "): left out");
        return;
    }
    for (; entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        if (error) break;
        if (!entry->is_regular_file(error) || entry->is_symlink(error)) continue;
        const std::string path = entry->path().string();
        const std::uint64_t bytes = entry->file_size(error);
        if (error || ::access(path.c_str(), R_OK) != 0 || bytes > file_max_bytes ||
            bytes_ + bytes > input_max_bytes) {
            ++left_out_;
            continue;
        }
        bytes_ += bytes;
        // A line may be the whole file.
        largest_message_ =
            std::max<std::uint64_t>(largest_message_, path.size() + number_digits_max + 2 + bytes);
        paths_.push_back(path);
    }
    if (error) remarks_.push_back(folder + ": " + error.message() + "; the rest is left out");
}

bool Catalogue::read(std::uint32_t file, std::string& content) const {
    content.clear();
    const int descriptor = ::open(paths_[file].c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    struct stat status {};
    ssize_t got = ::fstat(descriptor, &status);
    if (got == 0) {
        content.resize(static_cast<std::size_t>(status.st_size));
        std::size_t filled = 0;
        while (filled < content.size() &&
               (got = ::read(descriptor, content.data() + filled, content.size() - filled)) > 0) {
            filled += static_cast<std::size_t>(got);
        }
        content.resize(filled);
    }
    ::close(descriptor);
    return got >= 0;
}

// A path may hold colons itself: the first one that ends a path of ours, with a number behind it.
bool Catalogue::locate(std::string_view message, Place& place) const {
    for (std::size_t colon = message.find(':'); colon != std::string_view::npos;
         colon = message.find(':', colon + 1)) {
        const char* const end = message.data() + message.size();
        const auto [after, error] = std::from_chars(message.data() + colon + 1, end, place.line);
        if (error != std::errc{} || after == end || *after != ':') continue;
        const auto found = numbers_.find(message.substr(0, colon));
        if (found == numbers_.end()) continue;
        place.file = found->second;
        return true;
    }
    return false;
}

void write_message(std::string& message, std::string_view path, std::uint32_t line,
                   std::string_view content) {
    char digits[number_digits_max];
    const auto end = std::to_chars(digits, digits + sizeof(digits), line);
    message.assign(path).append(1, ':').append(digits, end.ptr).append(1, ':').append(content);
}

}  // namespace demo
