#include "shm/audit.hpp"

#include <algorithm>
#include <cstring>

#include "shm/given_numbers.hpp"

namespace shmq::shm {
namespace {

QueueView view_of(const Segment& segment) {
    return QueueView(segment.ring_base(), segment.pool_base(), segment.geometry());
}

bool holds_message(SlotState state) {
    return state == SlotState::ready || state == SlotState::leased || state == SlotState::returned;
}

// Payload bytes that may be rewritten under us: word by word, atomically, never believed before the
// slot's word was seen unchanged afterwards.
void copy_unowned(const std::byte* from, std::size_t length, std::vector<std::byte>& to) {
    to.resize(length);
    for (std::size_t i = 0; i < length; ++i) {
        to[i] = static_cast<std::byte>(
            __atomic_load_n(reinterpret_cast<const unsigned char*>(from + i), __ATOMIC_RELAXED));
    }
}

bool is_delayed(const QueueView& view, std::uint64_t index, SlotWord word) {
    const Note note = Note::unpack(view.notes[index].load(memory_order_acquire));
    const std::uint64_t sequence = view.ring.slot(index).sequence.load(memory_order_relaxed);
    return word.state() == SlotState::leased && word.owner() == 0 &&
           note.kind == NoteKind::delayed && note.speaks_of(view.ring.lap_of(sequence), word.tag());
}

bool read_by_exclusive(const QueueView& view, std::uint64_t index, SlotWord word) {
    if (!view.geometry->has(exclusive_consumer) || word.state() != SlotState::ready) return false;
    const std::uint32_t end =
        given_numbers_end(view.participants, view.geometry->shape.participants);
    for (std::uint32_t number = 1; number < end; ++number) {
        const ParticipantRecord& record = view.participants[number];
        const auto state = static_cast<ParticipantState>(record.state.load(memory_order_acquire));
        if (state == ParticipantState::vacant ||
            record.role.load(memory_order_relaxed) != static_cast<std::uint32_t>(Role::consumer)) {
            continue;
        }
        const std::uint64_t position = record.read_position.load(memory_order_relaxed);
        const std::int64_t laps = lap_difference(word.lap(), view.ring.lap_of(position) & lap_mask);
        return laps < 0 || (laps == 0 && index < view.ring.index_of(position));
    }
    return false;
}

// A whole look at the slot: false if it changed meanwhile.
bool look(const QueueView& view, std::uint64_t index, std::size_t content_bytes,
          MessageView& message) {
    const SlotWord word = view.ring.word_at(index);
    if (!holds_message(word.state())) return false;
    const SlotHeader& slot = view.ring.slot(index);
    message.state = read_by_exclusive(view, index, word) ? SlotState::leased : word.state();
    message.owner = word.owner();
    message.sequence = slot.sequence.load(memory_order_relaxed);
    message.timestamp = slot.timestamp.load(memory_order_relaxed);
    message.length = view.length_at(index);
    const Attempts attempts = view.attempts_of(message.sequence);
    message.delayed = is_delayed(view, index, word);
    message.held = word.state() == SlotState::leased && word.owner() == 0 && !message.delayed;
    const bool in_hand = message.state == SlotState::leased && !message.held && !message.delayed;
    message.deliveries = attempts.deliveries + (in_hand ? 1 : 0);
    message.failures = attempts.failures;
    const std::uint32_t length_word = slot.length.load(memory_order_relaxed);
    const BlockHandle block = view.block_at(index);
    const std::byte* data = block.valid() ? view.pool.data(block) : view.ring.payload(index);
    const std::uint64_t room =
        block.valid() ? view.pool.block_bytes(block.block) : view.geometry->inline_bytes;
    const std::uint64_t length =
        std::min<std::uint64_t>({message.length, room, std::uint64_t{content_bytes}});
    if (data != nullptr) copy_unowned(data, length, message.content);
    if (data != nullptr && block.valid() && (length_word & length_history) != 0) {
        message.history = read_history(data, message.length, room);
    }
    message.redriven =
        (length_word & length_redriven) != 0 || (message.history && message.history->redriven != 0);
    atomic_fence(memory_order_acquire);
    return view.ring.word_at(index) == word && view.ring.index_of(message.sequence) == index;
}

template <typename Wanted>
std::vector<MessageView> collect(const Segment& segment, std::size_t content_bytes, Wanted wanted) {
    const QueueView view = view_of(segment);
    std::vector<MessageView> messages;
    constexpr int looks_most = 8;
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        for (int looks = 0; looks < looks_most; ++looks) {
            MessageView message;
            if (!look(view, index, content_bytes, message)) continue;
            if (wanted(message)) messages.push_back(std::move(message));
            break;
        }
    }
    return messages;
}

void sum_participant(const ParticipantRecord& record, TotalCounts& counts) {
    const auto get = [](const Atomic<std::uint64_t>& counter) {
        return counter.load(memory_order_relaxed);
    };
    counts.sent += get(record.sent);
    counts.sent_bytes += get(record.sent_bytes);
    counts.delivered += get(record.delivered);
    counts.delivered_bytes += get(record.delivered_bytes);
    counts.redelivered += get(record.redelivered);
    counts.acked += get(record.acked);
    counts.nacked += get(record.nacked);
    counts.rejected += get(record.rejected);
    counts.extended += get(record.extended);
    counts.stale += get(record.stale);
    counts.dropped_oldest += DropCount::unpack(get(record.dropped)).dropped;
    counts.purged += get(record.purged);
    const auto state = static_cast<ParticipantState>(record.state.load(memory_order_relaxed));
    if (state != ParticipantState::attached && state != ParticipantState::hung_up) return;
    const auto role = static_cast<Role>(record.role.load(memory_order_relaxed));
    if (role == Role::producer) ++counts.producers;
    if (role == Role::consumer) ++counts.consumers;
}

TotalCounts sum_once(const QueueView& view, std::uint32_t numbers_end) {
    const Totals& totals = view.header->totals;
    const auto get = [](const Atomic<std::uint64_t>& counter) {
        return counter.load(memory_order_relaxed);
    };
    TotalCounts counts;
    counts.sent = get(totals.sent);
    counts.sent_bytes = get(totals.sent_bytes);
    counts.delivered = get(totals.delivered);
    counts.delivered_bytes = get(totals.delivered_bytes);
    counts.redelivered = get(totals.redelivered);
    counts.acked = get(totals.acked);
    counts.nacked = get(totals.nacked);
    counts.rejected = get(totals.rejected);
    counts.extended = get(totals.extended);
    counts.stale = get(totals.stale);
    counts.dropped_oldest = get(totals.dropped);
    counts.dropped_rejected = get(totals.dropped_rejected);
    counts.dropped_damaged = get(totals.dropped_damaged);
    counts.dropped_failed = get(totals.dropped_failed);
    counts.dead_rejected = get(totals.dead_rejected);
    counts.dead_expired = get(totals.dead_expired);
    counts.dead_crashed = get(totals.dead_crashed);
    counts.dead_limit = get(totals.dead_limit);
    counts.moved_in = get(totals.moved_in);
    counts.redriven = get(totals.redriven);
    counts.purged = get(totals.purged);
    counts.expired = get(totals.expired);
    counts.reclaimed_leases = get(totals.reclaimed_leases);
    counts.reclaimed_claims = get(totals.reclaimed_claims);
    counts.reclaimed_blocks = get(totals.reclaimed_blocks);
    counts.reclaimed_parties = get(totals.reclaimed_parties);
    for (std::uint32_t number = 1; number < numbers_end; ++number) {
        sum_participant(view.participants[number], counts);
    }
    return counts;
}

}  // namespace

std::optional<DeadLetterRecord> read_history(const std::byte* payload, std::uint64_t length,
                                             std::uint64_t block_bytes) {
    if (payload == nullptr || bytes_with_history(length) > block_bytes) return std::nullopt;
    std::vector<std::byte> bytes;
    copy_unowned(payload + history_offset(length), sizeof(DeadLetterRecord), bytes);
    DeadLetterRecord record;
    std::memcpy(&record, bytes.data(), sizeof record);
    if (record.magic != dead_letter_magic) return std::nullopt;
    record.source[sizeof record.source - 1] = '\0';
    record.executable[sizeof record.executable - 1] = '\0';
    return record;
}

std::string dead_reason(const DeadLetterRecord& record) {
    switch (static_cast<DeadReason>(record.reason)) {
        case DeadReason::rejected:
            return "rejected";
        case DeadReason::expired:
            return "expired";
        case DeadReason::crashed: {
            if (record.exit_status != 0) {
                return "crashed:exit-" + std::to_string(record.exit_status - 1);
            }
            if (record.signal == 0) return "crashed";
            const char* name = ::sigabbrev_np(static_cast<int>(record.signal));
            return name == nullptr ? "crashed:signal-" + std::to_string(record.signal)
                                   : std::string("crashed:SIG") + name;
        }
        default:
            return "max-deliveries";
    }
}

StateCounts count_states(const Segment& segment) {
    const QueueView view = view_of(segment);
    StateCounts counts;
    if (segment.untouched()) return counts;
    for (std::uint64_t index = 0; index < view.ring.capacity(); ++index) {
        const SlotWord word = view.ring.word_at(index);
        if (holds_message(word.state())) counts.bytes += view.length_at(index);
        switch (word.state()) {
            case SlotState::ready:
                ++(read_by_exclusive(view, index, word) ? counts.leased : counts.ready);
                break;
            case SlotState::leased:
                if (word.owner() != 0) {
                    ++counts.leased;
                } else {
                    ++(is_delayed(view, index, word) ? counts.delayed : counts.deciding);
                }
                break;
            case SlotState::returned:
                ++counts.returned;
                break;
            case SlotState::writing:
            case SlotState::skipped:
                ++counts.writing;
                break;
            case SlotState::free:
            case SlotState::closed:
                break;
        }
    }
    for (std::uint64_t index = 0; view.has_journal() && index < view.ingress.capacity(); ++index) {
        const SlotState state = view.ingress.word_at(index).state();
        if (state == SlotState::ready) ++counts.arrived;
        if (state == SlotState::writing || state == SlotState::skipped) ++counts.writing;
    }
    for (std::uint64_t block = 0; block < view.pool.count(); ++block) {
        if (view.pool.word(block).state() != BlockState::free) ++counts.blocks_used;
    }
    return counts;
}

TotalCounts count_totals(const Segment& segment) {
    const QueueView view = view_of(segment);
    // Retried while the supervisor moves a participant's counters; a dead one leaves it odd.
    constexpr int looks_most = 100;
    TotalCounts counts;
    for (int looks = 0; looks < looks_most; ++looks) {
        const std::uint64_t before = view.header->totals.version.load(memory_order_acquire);
        counts = sum_once(view, given_numbers_end(segment));
        atomic_fence(memory_order_acquire);
        const std::uint64_t behind = view.header->totals.version.load(memory_order_relaxed);
        if (before == behind && before % 2 == 0) break;
    }
    return counts;
}

std::vector<ParticipantView> list_participants(const Segment& segment) {
    const QueueView view = view_of(segment);
    std::vector<ParticipantView> participants;
    const std::uint32_t end = given_numbers_end(segment);
    for (std::uint32_t number = 1; number < end; ++number) {
        const ParticipantRecord& record = view.participants[number];
        const auto state = static_cast<ParticipantState>(record.state.load(memory_order_acquire));
        if (state == ParticipantState::vacant) continue;
        ParticipantView seen;
        seen.number = static_cast<std::uint16_t>(number);
        seen.state = state;
        seen.role = static_cast<Role>(record.role.load(memory_order_relaxed));
        seen.exclusive = record.exclusive.load(memory_order_relaxed) != 0;
        seen.pid = record.pid.load(memory_order_relaxed);
        seen.uid = record.uid.load(memory_order_relaxed);
        seen.generation = record.generation.load(memory_order_relaxed);
        seen.attached_at = record.attached_at.load(memory_order_relaxed);
        seen.sent = record.sent.load(memory_order_relaxed);
        seen.delivered = record.delivered.load(memory_order_relaxed);
        seen.acked = record.acked.load(memory_order_relaxed);
        seen.redelivered = record.redelivered.load(memory_order_relaxed);
        seen.sleeps = record.sleeps.load(memory_order_relaxed);
        participants.push_back(seen);
    }
    return participants;
}

std::vector<MessageView> peek(const Segment& segment, std::size_t most, std::size_t content_bytes) {
    auto messages = collect(segment, content_bytes, [](const MessageView& message) {
        return message.state != SlotState::leased;
    });
    std::sort(messages.begin(), messages.end(), [](const MessageView& a, const MessageView& b) {
        const bool a_returned = a.state == SlotState::returned;
        const bool b_returned = b.state == SlotState::returned;
        return a_returned != b_returned ? a_returned : after(b.sequence, a.sequence);
    });
    if (messages.size() > most) messages.resize(most);
    return messages;
}

std::vector<MessageView> pending(const Segment& segment, std::size_t most) {
    auto messages = collect(
        segment, 0, [](const MessageView& message) { return message.state == SlotState::leased; });
    std::sort(messages.begin(), messages.end(), [](const MessageView& a, const MessageView& b) {
        return after(b.sequence, a.sequence);
    });
    if (messages.size() > most) messages.resize(most);
    return messages;
}

}  // namespace shmq::shm
