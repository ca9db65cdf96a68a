#include "cli/observation.hpp"

#include <algorithm>

namespace shmq::cli {

Observation::Observation(const Context& context, std::string_view name)
    : client_(context.connect()), attachment_(need(SessionAccess::of(client_)->observe(name))) {}

std::chrono::nanoseconds age_of(std::uint64_t timestamp_ns) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const std::chrono::nanoseconds sent(static_cast<std::int64_t>(timestamp_ns));
    return std::max(std::chrono::nanoseconds(now) - sent, std::chrono::nanoseconds(0));
}

}  // namespace shmq::cli
