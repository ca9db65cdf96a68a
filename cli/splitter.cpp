#include "cli/splitter.hpp"

#include <cstring>

namespace shmq::cli {
namespace {

// A read of less than this is not worth its system call.
constexpr std::size_t space_min_bytes = std::size_t{64} << 10;

}  // namespace

Splitter::Splitter(char separator, std::size_t buffer_bytes)
    : separator_(separator), buffer_(buffer_bytes) {}

std::span<char> Splitter::space() {
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        searched_ -= begin_;
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < space_min_bytes) {
        buffer_.resize(buffer_.size() * 2 + space_min_bytes);
    }
    return std::span(buffer_).subspan(end_);
}

std::optional<std::string_view> Splitter::next() {
    if (searched_ < end_) {
        const void* found = std::memchr(buffer_.data() + searched_, separator_, end_ - searched_);
        if (found != nullptr) {
            const auto at =
                static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
            const std::string_view message(buffer_.data() + begin_, at - begin_);
            begin_ = searched_ = at + 1;
            ++count_;
            return message;
        }
        searched_ = end_;
    }
    if (!finished_ || begin_ == end_) return std::nullopt;
    const std::string_view message(buffer_.data() + begin_, end_ - begin_);
    begin_ = end_;
    ++count_;
    return message;
}

bool Splitter::skip_rest(std::uint64_t& skipped) {
    const void* found = std::memchr(buffer_.data() + searched_, separator_, end_ - searched_);
    const std::size_t stop =
        found == nullptr
            ? end_
            : static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    skipped += stop - begin_;
    begin_ = searched_ = end_ = 0;
    return found != nullptr;
}

}  // namespace shmq::cli
