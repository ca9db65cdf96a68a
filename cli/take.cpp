#include "cli/take.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace shmq::cli {
namespace {

constexpr auto coming_stretch = std::chrono::milliseconds(50);

}  // namespace

Result<std::size_t> Taker::receive(std::vector<Message>& into, std::size_t most,
                                   Consumer::Deadline until) {
    if (patience_.takes_what_is_there()) {
        // What lies in a journal is there, too: it takes an instant to come into the ring.
        auto received = consumer_.try_receive_batch(into, most);
        const auto nothing = [&] {
            return received ? *received == 0
                            : received.condition() == Condition::nothing ||
                                  received.condition() == Condition::timed_out;
        };
        while (nothing() && consumer_.more_to_come() && !stop_.stopped())
            received = consumer_.receive_batch_until(into, most, Clock::now() + coming_stretch);
        if (!received && received.condition() == Condition::timed_out) return Condition::nothing;
        return received;
    }
    if (until == Consumer::Deadline::max()) return consumer_.receive_batch(into, most);
    return consumer_.receive_batch_until(into, most, until);
}

std::size_t Taker::take(std::vector<Message>& into, std::size_t most,
                        std::optional<std::chrono::nanoseconds> stretch) {
    if (stop_.stopped()) return finish(End::stopped);
    if (patience_.count) {
        most = static_cast<std::size_t>(std::min<std::uint64_t>(most, *patience_.count - taken_));
        if (most == 0) return finish(End::counted);
    }
    const auto now = Clock::now();
    if (patience_.timeout && !next_due_) next_due_ = now + *patience_.timeout;
    const auto due = next_due_.value_or(Consumer::Deadline::max());
    const auto until = stretch ? std::min(due, now + *stretch) : due;
    const Result<std::size_t> received = receive(into, most, until);
    if (received && *received > 0) {
        taken_ += *received;
        next_due_.reset();
        return *received;
    }
    if (received) return patience_.takes_what_is_there() ? finish(End::empty) : 0;
    switch (received.condition()) {
        case Condition::nothing:
            return finish(End::empty);
        case Condition::timed_out:
            return until == due ? finish(End::timed_out) : 0;
        case Condition::interrupted:
            return stop_.stopped() ? finish(End::stopped) : 0;
        case Condition::in_flight_limit:
            return finish(End::holds_most);
        default:
            fail(received.error(), "recv " + name_);
    }
}

Exit Taker::status() const {
    switch (end_) {
        case End::empty:
            return taken_ > 0 ? Exit::done : Exit::nothing;
        case End::timed_out:
            return taken_ > 0 && !patience_.count ? Exit::done : Exit::nothing;
        case End::stopped:
            if (patience_.follow) return Exit::done;
            throw Failure(Exit::failed,
                          fmt::format("recv {}: interrupted after {} messages", name_, taken_));
        default:
            return Exit::done;
    }
}

}  // namespace shmq::cli
