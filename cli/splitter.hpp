// Cuts a byte stream into messages at a separator. The bytes are searched once and copied never,
// but for the rest of a message that the end of the buffer cut.
//
//     while (there is input) { splitter.filled(read(fd, splitter.space())); while (splitter.next())
//     … }
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace shmq::cli {

class Splitter {
  public:
    explicit Splitter(char separator, std::size_t buffer_bytes = std::size_t{256} << 10);

    // Where to read to; never empty. Ends the views given out before.
    std::span<char> space();
    void filled(std::size_t size) { end_ += size; }
    // No more will come: what is left is a message, if there is anything left.
    void finish() { finished_ = true; }

    // The next whole message, without its separator.
    std::optional<std::string_view> next();
    // Bytes of the message that has begun and not ended; it is the one after all given out.
    std::size_t rest() const { return end_ - begin_; }
    // Messages given out so far.
    std::uint64_t count() const { return count_; }
    // Throws away the bytes of a message that has not ended and says whether it ended now; for
    // measuring one that is too long without keeping it.
    bool skip_rest(std::uint64_t& skipped);

  private:
    char separator_;
    bool finished_ = false;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;     // of the message that comes next
    std::size_t searched_ = 0;  // no separator in [begin_, searched_)
    std::size_t end_ = 0;
    std::uint64_t count_ = 0;
};

}  // namespace shmq::cli
