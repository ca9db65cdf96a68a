// shmq recv --exec: one command a message. What it rejects is a dead letter. What failed is given
// back; how soon depends, because a message given back comes again before any other, and would come
// for ever:
//   -n, --follow          at once, then a pause that grows with each failure in a row
//   otherwise             at the end, so that each message is tried once and none hides the rest
#include <algorithm>

#include <cstdlib>

#include <fmt/format.h>

#include "cli/child.hpp"
#include "cli/output.hpp"
#include "cli/take.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds pause_min{100};
constexpr milliseconds pause_max{5000};

class Executor {
  public:
    Executor(Taker& taker, const StopSignals& stop, const RecvOptions& options,
             std::chrono::nanoseconds lease)
        : taker_(taker),
          stop_(stop),
          options_(options),
          renewal_(std::max<std::chrono::nanoseconds>(lease / 3, milliseconds(1))),
          keeps_failed_(!options.patience.count && !options.patience.follow) {}

    Exit run() {
        std::vector<Message> next;
        while (taker_.end() == Taker::End::none) {
            next.clear();
            if (taker_.take(next, 1, renewal_) > 0) {
                execute(next.front());
            } else {
                renew_failed();
            }
        }
        for (Message& message : failed_)
            static_cast<void>(message.nack());
        if (taker_.end() == Taker::End::holds_most) {
            complain(fmt::format("recv {}: stopped: too many messages failed to be held at once",
                                 options_.name));
        }
        if (failures_ == 0 || (taker_.end() == Taker::End::stopped && options_.patience.follow)) {
            return taker_.status();
        }
        throw Failure(Exit::failed, fmt::format("recv {}: the command failed {} of {} times; those "
                                                "messages went back to the queue",
                                                options_.name, format_count(failures_),
                                                format_count(taker_.taken())));
    }

  private:
    void execute(Message& message) {
        ::setenv("SHMQ_QUEUE", options_.name.c_str(), 1);
        ::setenv("SHMQ_SEQUENCE", std::to_string(message.sequence()).c_str(), 1);
        ::setenv("SHMQ_DELIVERIES", std::to_string(message.deliveries()).c_str(), 1);
        const ChildEnd end = run_command(options_.command, message.bytes(), renewal_, [&] {
            // A lost lease shows at the ack.
            static_cast<void>(message.extend());
            renew_failed();
        });
        const std::uint64_t sequence = message.sequence();
        if (end.good()) {
            consecutive_ = 0;
            if (const Result<void> acked = message.ack(); !acked) {
                ++failures_;
                complain(fmt::format("recv {}: message {}: {}; it is delivered again",
                                     options_.name, sequence, acked.error().message()));
            }
            return;
        }
        if (!end.signalled && end.status == options_.reject_status) return reject(message);
        ++failures_;
        complain(fmt::format("recv {}: message {}: the command ended with {}", options_.name,
                             sequence, describe(end)));
        if (keeps_failed_) {
            failed_.push_back(std::move(message));
            return;
        }
        static_cast<void>(message.nack());
        pause();
    }

    // As the command wanted: no failure of ours.
    void reject(Message& message) {
        consecutive_ = 0;
        const std::uint64_t sequence = message.sequence();
        const Result<void> rejected = message.reject();
        if (!rejected) ++failures_;
        complain(fmt::format("recv {}: message {}: {}", options_.name, sequence,
                             rejected ? "rejected by the command"
                                      : rejected.error().message() + "; it is delivered again"));
    }

    void renew_failed() {
        for (Message& message : failed_)
            static_cast<void>(message.extend());
    }

    void pause() {
        const auto doublings = std::min<std::uint64_t>(consecutive_++, 10);
        static_cast<void>(stop_.sleep(std::min(pause_min * (1 << doublings), pause_max)));
    }

    Taker& taker_;
    const StopSignals& stop_;
    const RecvOptions& options_;
    std::chrono::nanoseconds renewal_;
    bool keeps_failed_;
    std::vector<Message> failed_;
    std::uint64_t failures_ = 0;
    std::uint64_t consecutive_ = 0;
};

}  // namespace

Exit receive_and_execute(const Context& context, const RecvOptions& options) {
    Client client = context.connect();
    const QueueInfo queue = need(client.describe(options.name));
    ConsumerOptions consumer_options;
    // One is all we work on; the others are for other consumers. Only where failed ones are kept
    // until the end may it be as many as the queue allows.
    const bool one_at_a_time = options.patience.count || options.patience.follow;
    consumer_options.in_flight = one_at_a_time ? 1 : 0;
    hold_signals();
    Consumer consumer = need(client.consumer(options.name, consumer_options));
    StopSignals stop;
    stop.watch(consumer);
    Taker taker(consumer, options.patience, stop, options.name);
    return Executor(taker, stop, options, queue.options.lease).run();
}

}  // namespace shmq::cli
