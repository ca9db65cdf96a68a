// Values of queue options as people write them, for the verbs that make and change queues. A bad
// one throws BadValue.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace shmq::cli {

// A name that the system knows, or a number.
std::uint32_t group_number(const std::string& text);
std::uint32_t user_number(const std::string& text);
// The other way round.
std::string group_text(std::uint32_t number);
std::string user_text(std::uint32_t number);
// "750".
std::uint32_t mode_number(const std::string& text);
// 1 to 1023, or "unlimited", which is 0.
std::uint32_t deliveries_number(const std::string& text);
// "64MiB", not 0.
std::uint64_t size_number(const std::string& text);
// FIRST[..MAX].
struct RetryDelay {
    std::chrono::nanoseconds first{0};
    std::optional<std::chrono::nanoseconds> most;
};
RetryDelay retry_delay_of(const std::string& text);
// "yes" or "no".
bool yes_or_no(const std::string& text);
// The same, checked, of a queue.
std::string queue_name_of(const std::string& text);

}  // namespace shmq::cli
