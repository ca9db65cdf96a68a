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

}  // namespace

// ---- To the dead letters -----------------------------------------------------------------------

void DeadLetters::bury(Queue& queue, const WhoIs& who_is) {
    if (queue.supervise().doomed().empty()) return queue.raise_alarm(Queue::Alarm::held, "");
    if (!queue.moves_settled) settle_unfinished();
    std::string problem;
    const auto target = target_of(queue, problem);
    std::vector<shm::Doomed> doomed;
    for (const auto& [index, one] : queue.supervise().doomed())
        doomed.push_back(one);
    for (const shm::Doomed& one : doomed) {
        // Who had it is asked at once: later the number may be another's.
        const auto [holder, fresh] = queue.last_holders.try_emplace(one.sequence);
        if (fresh && one.cause.number != 0) holder->second = who_is(one.cause.number);
        if (target == nullptr) continue;
        const shm::DeadLetterRecord record = record_of(queue, one, holder->second, monotonic_now());
        shm::Move move(queue.supervise(), target->supervise());
        const shm::MoveStatus status =
            move.run(one.sequence, &record, shm::count_of(one.cause.reason));
        if (status == shm::MoveStatus::moved) {
            queue.supervise().forget_doomed(one.index);
            queue.last_holders.erase(one.sequence);
            log().info("queue {}: message {} is dead ({}), moved to {}", queue.name(), one.sequence,
                       shm::dead_reason(record), target->name());
            tell("dead_lettered", &queue,
                 fmt::format("queue {}: message {} is dead ({}), moved to {}", queue.name(),
                             one.sequence, shm::dead_reason(record), target->name()),
                 record.pid, 1);
        } else if (status == shm::MoveStatus::gone || status == shm::MoveStatus::damaged) {
            queue.supervise().forget_doomed(one.index);
            queue.last_holders.erase(one.sequence);
        } else {
            problem = why_not_moved(status, *target);
            if (status != shm::MoveStatus::too_large) break;
        }
    }
    if (target != nullptr) {
        target->check_damage("a move");
        queue.check_damage("a move");
    }
    const std::size_t held = queue.supervise().doomed().size();
    queue.raise_alarm(Queue::Alarm::held,
                      held == 0 ? ""
                                : fmt::format("{} messages held, that failed or were rejected: {}",
                                              held, problem));
}

std::shared_ptr<Queue> DeadLetters::target_of(Queue& queue, std::string& why_not) {
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

// ---- And back ----------------------------------------------------------------------------------

DeadLetters::Redriven DeadLetters::redrive(const Caller& caller, Queue& queue,
                                           const std::vector<std::uint64_t>& sequences,
                                           const std::string& to) {
    Redriven redriven;
    queue.supervise().refresh();
    for (const std::uint64_t sequence : sequences) {
        std::string why_not = redrive_one(caller, queue, sequence, to);
        if (why_not.empty()) {
            ++redriven.done;
        } else {
            redriven.refused.emplace_back(sequence, std::move(why_not));
        }
    }
    queue.check_damage("a redrive");
    return redriven;
}

std::string DeadLetters::redrive_one(const Caller& caller, Queue& queue, std::uint64_t sequence,
                                     const std::string& to) {
    shm::Move taking(queue.supervise(), queue.supervise());
    const bool unread_is_ours =
        !queue.segment().geometry().has(shm::exclusive_consumer) || queue.consumers == 0;
    if (auto why_not = taking.take(sequence, unread_is_ours); !why_not.empty()) return why_not;
    auto history = present_history(queue, sequence);
    const auto refuse = [&](std::string why) {
        taking.put_back(sequence);
        return why;
    };
    const std::string name = !to.empty() ? to : history ? history->source : "";
    if (name.empty()) return refuse("it does not say where it came from; say where to");
    auto found = registry_.find(caller, name, Right::produce, Right::produce);
    if (!found) return refuse(fmt::format("queue {} is not there, or not yours to send to", name));
    Queue& target = **found;
    if (&target == &queue) return refuse("it would stay where it is");
    if (auto why_not = open_target(target); !why_not.empty()) return refuse(why_not);
    if (history) {
        history->redriven += 1;
        history->redriven_at = static_cast<std::uint64_t>(monotonic_now());
    }
    shm::Move move(queue.supervise(), target.supervise());
    const auto status =
        move.run(sequence, history ? &*history : nullptr, shm::CountJournal::Drop::redriven);
    target.check_damage("a redrive");
    if (status != shm::MoveStatus::moved) return refuse(why_not_moved(status, target));
    return {};
}

}  // namespace shmq::daemon
