// shmq mv FROM TO [--count N] [--rate N] [--dry-run]: what waits in a queue, into another, in the
// order it would have been delivered. Each message is in the one or in the other whoever dies; run
// again, it goes on. What consumers hold, or what waits for its time, stays.
// Exit: 0 done, 1 failed or stopped on the way, 3 nothing there to move.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/json.hpp"
#include "cli/observation.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "client/session.hpp"

namespace shmq::cli {
namespace {

constexpr std::uint64_t batch_most = 256;  // the daemon does nothing else meanwhile
constexpr auto refill_wait = std::chrono::milliseconds(5);
constexpr int refill_waits_most = 2000;  // without a message from the journal

struct MvOptions {
    std::string from, to;
    std::optional<std::uint64_t> count, rate;
    bool dry_run = false;
    bool json = false;
};

constexpr std::string_view example =
    "  shmq mv jobs jobs-later --dry-run\n"
    "  shmq mv jobs jobs-later --count 1000\n"
    "  shmq mv orders.dlq orders-to-look-at --rate 100";

std::uint64_t waiting_in(const QueueInfo& queue) {
    return queue.ready + queue.returned;
}

// What is durable takes it into its log, and says when that has no room.
std::uint64_t room_in(const QueueInfo& queue) {
    if (queue.options.durability != Durability::accepted) return batch_most;
    const std::uint64_t in_ring = queue.ready - std::min(queue.ready, queue.spilled) +
                                  queue.leased + queue.returned + queue.delayed + queue.held;
    return queue.options.capacity - std::min(queue.options.capacity, in_ring);
}

class Mover {
  public:
    Mover(const Context& context, const MvOptions& options)
        : options_(options), client_(context.connect()) {}

    // How many would be moved, as of now.
    std::uint64_t plan() {
        if (options_.from == options_.to) {
            throw Failure(Exit::usage, "mv: the two are the same queue");
        }
        const QueueInfo from = need(client_.describe(options_.from));
        need(client_.describe(options_.to));
        return std::min(waiting_in(from), options_.count.value_or(waiting_in(from)));
    }

    void run(std::uint64_t wanted) {
        const StopSignals stop;
        const auto begun = std::chrono::steady_clock::now();
        std::uint64_t seen = 0;  // moved, or gone to a consumer before we came
        int waits = 0;
        while (seen < wanted && problem_.empty()) {
            std::uint64_t most = std::min(wanted - seen, batch_most);
            if (options_.rate) {
                most = std::min(most, std::max<std::uint64_t>(*options_.rate / 10, 1));
                const auto due =
                    begun + std::chrono::nanoseconds(seen * 1'000'000'000 / *options_.rate);
                const auto left = due - std::chrono::steady_clock::now();
                stop.sleep(std::max(std::chrono::milliseconds(0),
                                    std::chrono::ceil<std::chrono::milliseconds>(left)));
            }
            if (stop.stopped()) {
                problem_ = "interrupted";
                return;
            }
            const std::vector<std::uint64_t> sequences = next(most);
            if (!problem_.empty()) return;
            if (sequences.empty()) {
                if (!more_to_come() || ++waits > refill_waits_most) return;
                stop.sleep(refill_wait);
                continue;
            }
            const std::uint64_t handled = settle(sequences);
            seen += handled;
            if (handled != 0) waits = 0;
            if (handled != sequences.size() && ++waits > refill_waits_most) {
                problem_ = fmt::format("queue '{}' finds no room", options_.to);
            } else if (handled != sequences.size()) {
                stop.sleep(refill_wait);
            }
        }
    }

    Exit report(std::uint64_t planned) const {
        if (options_.json) {
            Json json = Json::object();
            json.add("from", options_.from).add("to", options_.to).add("moved", moved_);
            json.add("dry_run", options_.dry_run).add("would_be_moved", planned - moved_);
            problem_.empty() ? json.add_null("problem") : json.add("problem", problem_);
            print(json.text());
        } else {
            print(fmt::format("{} {} {}\n", options_.dry_run ? "would move" : "moved",
                              format_count(options_.dry_run ? planned : moved_),
                              (options_.dry_run ? planned : moved_) == 1 ? "message" : "messages"));
        }
        if (problem_.empty()) return planned == 0 ? Exit::nothing : Exit::done;
        throw Failure(Exit::failed, fmt::format("mv: {}; {} of {} moved, the same again goes on",
                                                problem_, moved_, planned));
    }

  private:
    // The next sequences to move; fewer than there are where the target has less room.
    std::vector<std::uint64_t> next(std::uint64_t most) {
        const std::uint64_t room = room_in(need(client_.describe(options_.to)));
        if (room == 0) {
            problem_ = fmt::format("queue '{}' is full", options_.to);
            return {};
        }
        const Attachment source = need(SessionAccess::of(client_)->observe(options_.from));
        std::vector<std::uint64_t> sequences;
        const auto count = static_cast<std::size_t>(std::min(most, room));
        for (const shm::MessageView& message : shm::peek(*source.segment, count, 0))
            sequences.push_back(message.sequence);
        return sequences;
    }

    // From the journal, into the ring that we have emptied.
    bool more_to_come() { return waiting_in(need(client_.describe(options_.from))) > 0; }

    // How many of them need not be tried again.
    std::uint64_t settle(const std::vector<std::uint64_t>& sequences) {
        const auto settled = need(SessionAccess::of(client_)->settle(
            options_.from, wire::SettleVerb::redrive, sequences, 0, options_.to));
        moved_ += settled.done;
        std::uint64_t again = 0;
        for (const wire::Refusal& refusal : settled.refused) {
            // One that somebody took meanwhile is no problem; a target that takes nothing is.
            if (refusal.on_account_of == wire::RefusedFor::target)
                problem_ = escape(refusal.reason);
            if (refusal.on_account_of == wire::RefusedFor::busy) ++again;
        }
        return sequences.size() - again;
    }

    const MvOptions& options_;
    Client client_;
    std::uint64_t moved_ = 0;
    std::string problem_;  // why it ended before its time
};

Exit move(const Context& context, const MvOptions& options) {
    Mover mover(context, options);
    const std::uint64_t planned = mover.plan();
    if (!options.dry_run) mover.run(planned);
    return mover.report(planned);
}

Action prepare(Options& command, const Context& context) {
    auto options = std::make_shared<MvOptions>();
    command.name(options->from, "FROM", "Name of the queue to take from");
    command.name(options->to, "TO", "Name of the queue to put into; it must exist");
    command.count("-n,--count", "N", "So many at most (default: all that wait now)",
                  options->count);
    command.count("--rate", "N", "So many a second at most", options->rate);
    command.flag("--dry-run", "Only say how many", options->dry_run);
    command.json(options->json);
    return [options, &context] { return move(context, *options); };
}

}  // namespace

constinit const Verb mv_verb{"mv", "Move what waits to another queue", example, prepare};

}  // namespace shmq::cli
