#include "daemon/dead_letters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/events.hpp"
#include "daemon/log.hpp"
#include "shm/audit.hpp"
#include "shm/move.hpp"

namespace shmq::daemon {
namespace {

// Between two looks whether a target's log was read.
constexpr Nanoseconds retry_least_ns = 2 * nanoseconds_per_millisecond;
constexpr Nanoseconds retry_most_ns = 200 * nanoseconds_per_millisecond;

// The end of a text that is too long says more than its beginning: it is a path.
template <std::size_t size>
void copy_end(const std::string& text, char (&into)[size]) {
    const std::size_t from = text.size() < size ? 0 : text.size() - (size - 1);
    const std::size_t length = text.size() - from;
    std::memcpy(into, text.data() + from, length);
    std::memset(into + length, 0, size - length);
}

shm::QueueView view_of(const Queue& queue) {
    const shm::Segment& segment = queue.segment();
    return {segment.ring_base(), segment.pool_base(), segment.geometry()};
}

// What the message carried already, if it was in a dead-letter queue before.
std::optional<shm::DeadLetterRecord> present_history(const Queue& queue, std::uint64_t sequence) {
    const shm::QueueView view = view_of(queue);
    const std::uint32_t word = view.ring.slot(sequence).length.load(std::memory_order_relaxed);
    const shm::BlockHandle block = view.block_at(sequence);
    if ((word & shm::length_history) == 0 || !block.valid()) return std::nullopt;
    return shm::read_history(view.pool.data(block), word & shm::length_mask,
                             view.pool.block_bytes(block.block));
}

shm::DeadLetterRecord record_of(const Queue& queue, const shm::Doomed& doomed,
                                const LastHolder& holder, Nanoseconds now) {
    const shm::Segment& segment = queue.segment();
    const shm::Attempts attempts = view_of(queue).attempts_of(doomed.sequence);
    const Nanoseconds first = queue.supervise().first_failure_of(doomed.sequence);
    shm::DeadLetterRecord record{};
    record.magic = shm::dead_letter_magic;
    record.reason = static_cast<std::uint32_t>(doomed.cause.reason);
    record.signal = doomed.cause.signal;
    record.exit_status = doomed.cause.exit_status;
    record.sequence = doomed.sequence;
    std::memcpy(record.identity, segment.identity(), sizeof record.identity);
    record.deliveries = attempts.deliveries;
    record.failures = attempts.failures;
    record.last_failure_at = static_cast<std::uint64_t>(doomed.failed_at);
    record.first_failure_at = static_cast<std::uint64_t>(first != 0 ? first : doomed.failed_at);
    record.moved_at = static_cast<std::uint64_t>(now);
    record.pid = holder.pid;
    record.uid = holder.uid;
    copy_end(holder.executable, record.executable);
    copy_end(queue.name(), record.source);
    if (const auto before = present_history(queue, doomed.sequence)) {
        record.redriven = before->redriven;
        record.redriven_at = before->redriven_at;
    }
    return record;
}

journal::Identity memory_of(const Queue& queue) {
    journal::Identity memory{};
    const auto& words = queue.segment().header().journal.memory;
    for (std::size_t i = 0; i < std::size(words); ++i) {
        const std::uint64_t word = words[i].load(std::memory_order_relaxed);
        std::memcpy(memory.data() + i * sizeof word, &word, sizeof word);
    }
    return memory;
}

// How the message is known in its queue, for a log that outlives this daemon.
journal::Origin origin_of(const Queue& queue, std::uint64_t sequence) {
    journal::Origin origin{};
    std::copy_n(queue.segment().identity(), origin.queue.size(), origin.queue.begin());
    const std::uint64_t lsn = queue.supervise().lsn_of(sequence);
    const bool logged = lsn != 0 && queue.journal && queue.journal->holds(lsn);
    origin.kind = static_cast<std::uint32_t>(logged ? journal::OriginKind::lsn
                                                    : journal::OriginKind::sequence);
    origin.number = logged ? lsn : sequence;
    if (!logged) origin.memory = memory_of(queue);
    return origin;
}

std::string why_not_moved(shm::MoveStatus status, const Queue& target) {
    switch (status) {
        case shm::MoveStatus::full:
            return fmt::format("queue {} is full", target.name());
        case shm::MoveStatus::closed:
            return fmt::format("queue {} is out of service", target.name());
        case shm::MoveStatus::too_large:
            return fmt::format("queue {} has no blocks that large", target.name());
        case shm::MoveStatus::damaged:
            return "its content makes no sense; it was dropped";
        default:
            return "it is gone";
    }
}

wire::RefusedFor refused_for(shm::MoveStatus status, const Queue& target) {
    switch (status) {
        case shm::MoveStatus::full:
            return target.journal && target.journal->writes_on() ? wire::RefusedFor::busy
                                                                 : wire::RefusedFor::target;
        case shm::MoveStatus::closed:
        case shm::MoveStatus::too_large:
            return wire::RefusedFor::target;
        default:
            return wire::RefusedFor::message;
    }
}

}  // namespace

// ---- To the dead letters -----------------------------------------------------------------------

void DeadLetters::bury(Queue& queue, const WhoIs& who_is) {
    const auto failed = queue.supervise().take_failed();
    if (queue.journal) queue.journal->note_failures(failed);
    if (queue.supervise().doomed().empty()) return queue.raise_alarm(Queue::Alarm::held, "");
    if (!queue.moves_settled) settle_unfinished();
    std::string problem;
    const auto target = target_of(queue, problem);
    std::vector<shm::Doomed> doomed;
    for (const auto& [index, one] : queue.supervise().doomed()) {
        if (!queue.supervise().in_motion(one.sequence)) doomed.push_back(one);
    }
    for (const shm::Doomed& one : doomed) {
        // Who had it is asked at once: later the number may be another's.
        const auto [holder, fresh] = queue.last_holders.try_emplace(one.sequence);
        if (fresh && one.cause.number != 0) holder->second = who_is(one.cause.number);
        if (target == nullptr) continue;
        const shm::MoveStatus status = bury_one(queue, *target, one, holder->second);
        if (status == shm::MoveStatus::full || status == shm::MoveStatus::closed ||
            status == shm::MoveStatus::too_large) {
            problem = why_not_moved(status, *target);
            if (status != shm::MoveStatus::too_large) break;
        }
    }
    if (target != nullptr) {
        target->check_damage("a move");
        queue.check_damage("a move");
    }
    const auto& all = queue.supervise().doomed();
    const auto held = std::count_if(all.begin(), all.end(), [&](const auto& entry) {
        return !queue.supervise().in_motion(entry.second.sequence);
    });
    queue.raise_alarm(Queue::Alarm::held,
                      held == 0 ? ""
                                : fmt::format("{} messages held, that failed or were rejected: {}",
                                              held, problem));
}

shm::MoveStatus DeadLetters::bury_one(Queue& queue, Queue& target, const shm::Doomed& one,
                                      const LastHolder& holder) {
    const shm::DeadLetterRecord record = record_of(queue, one, holder, monotonic_now());
    Leaving leaving{
        .sequence = one.sequence,
        .count_as = shm::count_of(one.cause.reason),
        .history = &record,
        .told = fmt::format("queue {}: message {} is dead ({}), moved to {}", queue.name(),
                            one.sequence, shm::dead_reason(record), target.name()),
        .pid = record.pid};
    const shm::MoveStatus status = move(queue, target, std::move(leaving));
    const bool on_its_way = status == shm::MoveStatus::moved && by_log(target);
    if (on_its_way) return status;
    if (status == shm::MoveStatus::moved || status == shm::MoveStatus::gone ||
        status == shm::MoveStatus::damaged) {
        queue.supervise().forget_doomed(one.index);
        queue.last_holders.erase(one.sequence);
    }
    return status;
}

void DeadLetters::tell_moved(Queue& queue, const Leaving& leaving) {
    if (leaving.told.empty()) return;
    log().info("{}", leaving.told);
    tell("dead_lettered", &queue, leaving.told, leaving.pid, 1);
}

std::shared_ptr<Queue> DeadLetters::target_of(Queue& queue, std::string& why_not) {
    // It may be among those that are still coming back, and is not to be made anew.
    if (registry_.journals().restoring()) {
        why_not = "queues are still coming back from their journals";
        retry_soon(queue);
        return nullptr;
    }
    auto target = registry_.dead_letter_queue(queue);
    if (!target) {
        why_not = wire::failure_text(target.error());
        return nullptr;
    }
    // Who made the source said where dead letters go: that must be somewhere he may send to.
    Caller owner;
    owner.uid = queue.ownership().owner;
    owner.gid = queue.ownership().group;
    if (!may(owner, (*target)->ownership(), Right::produce)) {
        why_not = fmt::format("uid {} may not produce to queue {}", owner.uid, (*target)->name());
        return nullptr;
    }
    why_not = open_target(**target);
    if (!why_not.empty() && (*target)->journal && !(*target)->journal->has_failed())
        retry_soon(queue);
    if (!why_not.empty()) return nullptr;
    queue.supervise().refresh();
    return *target;
}

// Makes the pool where there is none yet. What keeps the queue from being moved to, or nothing.
std::string DeadLetters::open_target(Queue& target) {
    if (target.quarantined()) return fmt::format("queue {} is quarantined", target.name());
    const shm::Geometry& geometry = target.segment().geometry();
    if (geometry.has(shm::exclusive_producer) && target.producers > 0) {
        return fmt::format("queue {} has an exclusive producer attached", target.name());
    }
    if (auto made = registry_.make_pool(target); !made) {
        return fmt::format("no memory for queue {}: {}", target.name(),
                           wire::failure_text(made.error()));
    }
    target.supervise().refresh();
    if (!by_log(target)) return {};
    if (!target.journal) return fmt::format("the journal of queue {} is not open", target.name());
    if (target.journal->has_failed())
        return fmt::format("the journal of queue {} failed", target.name());
    if (!target.journal->takes_moves())
        return fmt::format("the journal of queue {} is being read", target.name());
    return {};
}

void DeadLetters::settle_unfinished() {
    for (const auto& [name, queue] : registry_.all()) {
        if (std::exchange(queue->moves_settled, true) || queue->quarantined()) continue;
        for (const shm::Unfinished& move : queue->supervise().unfinished()) {
            const auto source =
                move.source_known ? registry_.by_identity(move.source_identity) : nullptr;
            const bool undone = source != nullptr && source->supervise().has(move.source_sequence);
            queue->supervise().settle(move, undone);
            log().info("queue {}: a move left half-way, of message {} of {}, {}", queue->name(),
                       move.source_sequence, source != nullptr ? source->name() : "a queue gone",
                       undone ? "undone" : "finished");
        }
        queue->check_damage("a start");
    }
}

shm::MoveStatus DeadLetters::move(Queue& source, Queue& target, Leaving leaving) {
    if (by_log(target)) return move_by_log(source, target, std::move(leaving));
    shm::Move move(source.supervise(), target.supervise());
    const auto status = move.run(leaving.sequence, leaving.history, leaving.count_as);
    if (status == shm::MoveStatus::moved) tell_moved(source, leaving);
    return status;
}

// ---- By the target's log -----------------------------------------------------------------------

shm::MoveStatus DeadLetters::move_by_log(Queue& source, Queue& target, Leaving leaving) {
    shm::Packed packed;
    shm::Move move(source.supervise(), target.supervise());
    const bool redriven = leaving.count_as == shm::CountJournal::Drop::redriven;
    const auto status = move.pack(leaving.sequence, leaving.history, redriven, packed);
    leaving.history = nullptr;  // it is the caller's
    if (status != shm::MoveStatus::moved) return status;
    QueueJournal::MovedIn message{.origin = origin_of(source, leaving.sequence),
                                  .bytes = std::move(packed.bytes),
                                  .marks = packed.marks,
                                  .timestamp = packed.timestamp,
                                  .deliveries = std::max(1u, packed.deliveries),
                                  .done = {}};
    message.origin.message_bytes = packed.length;
    const std::uint64_t sequence = leaving.sequence;
    message.done = [weak = source.weak_from_this(), leaving = std::move(leaving)](bool safe) {
        const auto queue = weak.lock();
        // What is gone with its queue is nowhere else.
        return queue == nullptr || queue->removed || finish(*queue, leaving, safe);
    };
    if (!target.journal->append_moved(std::move(message))) return shm::MoveStatus::full;
    source.supervise().begin_motion(sequence);
    return shm::MoveStatus::moved;
}

// Whether the source let the message go.
bool DeadLetters::finish(Queue& source, const Leaving& leaving, bool safe) {
    shm::Supervise& supervise = source.supervise();
    supervise.end_motion(leaving.sequence);
    const bool redriven = leaving.count_as == shm::CountJournal::Drop::redriven;
    if (!safe) {
        // A dead letter stays doomed, and is tried again.
        if (redriven) shm::Move(supervise, supervise).put_back(leaving.sequence);
        return false;
    }
    const bool left = supervise.leave(leaving.sequence, leaving.count_as);
    supervise.forget_doomed(leaving.sequence & source.segment().geometry().index_mask);
    source.last_holders.erase(leaving.sequence);
    if (left) tell_moved(source, leaving);
    if (source.journal) source.journal->wake();
    source.check_damage("a move");
    return left;
}

std::shared_ptr<Queue> DeadLetters::source_of(const journal::Origin& origin) const {
    std::shared_ptr<Queue> queue = last_source_.lock();
    if (queue == nullptr || queue->removed || last_origin_ != origin.queue) {
        std::uint8_t identity[16];
        std::copy(origin.queue.begin(), origin.queue.end(), identity);
        queue = registry_.by_identity(identity);
        last_source_ = queue;
        last_origin_ = origin.queue;
    }
    return queue != nullptr && !queue->quarantined() ? queue : nullptr;
}

Origins::Answer DeadLetters::look(const journal::Origin& origin) const {
    const auto source = source_of(origin);
    if (source == nullptr) return registry_.journals().restoring() ? Answer::unknown : Answer::gone;
    if (origin.kind == static_cast<std::uint32_t>(journal::OriginKind::lsn)) {
        if (source->journal == nullptr) return Answer::gone;
        if (!source->journal->is_read()) return Answer::unknown;
        return source->journal->holds(origin.number) ? Answer::there : Answer::gone;
    }
    const bool there =
        origin.memory == memory_of(*source) && source->supervise().has(origin.number);
    return there ? Answer::there : Answer::gone;
}

bool DeadLetters::settled(const journal::Origin& origin) const {
    const auto source = source_of(origin);
    if (source == nullptr) return true;
    if (origin.kind == static_cast<std::uint32_t>(journal::OriginKind::lsn))
        return source->journal == nullptr || source->journal->says_gone(origin.number);
    return origin.memory != memory_of(*source) || !source->supervise().has(origin.number);
}

// Sweeps are far between where nobody holds anything.
void DeadLetters::retry_soon(Queue& queue) {
    to_retry_.push_back(queue.weak_from_this());
    if (retry_.armed()) return;
    retry_pause_ = std::clamp(2 * retry_pause_, retry_least_ns, retry_most_ns);
    timers_.arm(retry_, deadline_after(monotonic_now(), retry_pause_), [this] { retry(); });
}

void DeadLetters::retry() {
    for (const auto& weak : std::exchange(to_retry_, {})) {
        const auto queue = weak.lock();
        // Who had the messages was asked before.
        if (queue && !queue->removed && !queue->quarantined())
            bury(*queue, [](std::uint16_t) { return LastHolder{}; });
    }
    if (!retry_.armed()) retry_pause_ = 0;
}

// ---- And back ----------------------------------------------------------------------------------

DeadLetters::Redriven DeadLetters::redrive(const Caller& caller, Queue& queue,
                                           const std::vector<std::uint64_t>& sequences,
                                           const std::string& to) {
    Redriven redriven;
    queue.supervise().refresh();
    for (const std::uint64_t sequence : sequences) {
        if (auto refusal = redrive_one(caller, queue, sequence, to)) {
            redriven.refused.push_back(std::move(*refusal));
        } else {
            ++redriven.done;
        }
    }
    queue.check_damage("a redrive");
    return redriven;
}

std::optional<wire::Refusal> DeadLetters::redrive_one(const Caller& caller, Queue& queue,
                                                      std::uint64_t sequence,
                                                      const std::string& to) {
    using wire::RefusedFor;
    shm::Move taking(queue.supervise(), queue.supervise());
    const bool unread_is_ours =
        !queue.segment().geometry().has(shm::exclusive_consumer) || queue.consumers == 0;
    if (auto why_not = taking.take(sequence, unread_is_ours); !why_not.empty()) {
        const bool for_now = queue.supervise().bound(sequence);
        return wire::Refusal{sequence, std::move(why_not),
                             for_now ? RefusedFor::busy : RefusedFor::message};
    }
    auto history = present_history(queue, sequence);
    const auto refuse = [&](std::string why, RefusedFor on_account_of) {
        taking.put_back(sequence);
        return wire::Refusal{sequence, std::move(why), on_account_of};
    };
    const std::string name = !to.empty() ? to : history ? history->source : "";
    if (name.empty())
        return refuse("it does not say where it came from; say where to", RefusedFor::message);
    auto found = registry_.find(caller, name, Right::produce, Right::produce);
    if (!found) {
        return refuse(fmt::format("queue {} is not there, or not yours to send to", name),
                      RefusedFor::target);
    }
    Queue& target = **found;
    if (&target == &queue) return refuse("it would stay where it is", RefusedFor::target);
    if (auto why_not = open_target(target); !why_not.empty())
        return refuse(std::move(why_not), RefusedFor::target);
    if (history) {
        history->redriven += 1;
        history->redriven_at = static_cast<std::uint64_t>(monotonic_now());
    }
    const auto status = move(queue, target,
                             {.sequence = sequence,
                              .count_as = shm::CountJournal::Drop::redriven,
                              .history = history ? &*history : nullptr,
                              .told = {},
                              .pid = 0});
    target.check_damage("a redrive");
    if (status == shm::MoveStatus::moved) return std::nullopt;
    return refuse(why_not_moved(status, target), refused_for(status, target));
}

}  // namespace shmq::daemon
