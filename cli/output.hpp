// Writing to standard output and standard error without a buffer in between: what write(2) took is
// out, what it refused is reported.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include <shmq/message.hpp>

namespace shmq::cli {

// All of it to standard output, or Failure.
void print(std::string_view text);
// From here on print() adds to `into` instead; null: to standard output again.
void collect_output(std::string* into);
// One line `shmq: TEXT` on standard error; escapes nothing.
void complain(std::string_view text);

// Messages to a descriptor, each with the same ending, as few system calls as can be.
class MessageWriter {
  public:
    MessageWriter(int fd, std::string_view ending) : fd_(fd), ending_(ending) {}

    struct Outcome {
        std::size_t whole = 0;  // messages written to their end
        std::size_t bytes = 0;
        int os_error = 0;  // 0 with fewer than all: told to stop
    };
    // `go_on` is asked whenever a signal, or a reader that takes little at a time, made write
    // return early.
    Outcome write(std::span<const Message> messages, const std::function<bool()>& go_on);

  private:
    void gather(std::span<const Message> messages);

    int fd_;
    std::string ending_;
    std::vector<iovec> pieces_;
};

}  // namespace shmq::cli
