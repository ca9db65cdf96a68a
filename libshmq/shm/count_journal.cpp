#include "shm/count_journal.hpp"

#include <iterator>

namespace shmq::shm {
namespace {

using Total = Atomic<std::uint64_t> Totals::*;

constexpr Total drop_totals[] = {
    &Totals::dropped_rejected, &Totals::dropped_damaged, &Totals::purged,
    &Totals::dropped_failed,   &Totals::acked,           &Totals::dead_limit,
    &Totals::dead_rejected,    &Totals::dead_expired,    &Totals::dead_crashed,
    &Totals::redriven,         &Totals::moved_in};
static_assert(std::size(drop_totals) == static_cast<std::size_t>(CountJournal::Drop::moved_in) + 1);

struct Fold {
    Atomic<std::uint64_t> ParticipantRecord::*from;
    Total to;
};
constexpr Fold folds[] = {
    {&ParticipantRecord::sent, &Totals::sent},
    {&ParticipantRecord::sent_bytes, &Totals::sent_bytes},
    {&ParticipantRecord::delivered, &Totals::delivered},
    {&ParticipantRecord::delivered_bytes, &Totals::delivered_bytes},
    {&ParticipantRecord::redelivered, &Totals::redelivered},
    {&ParticipantRecord::acked, &Totals::acked},
    {&ParticipantRecord::nacked, &Totals::nacked},
    {&ParticipantRecord::rejected, &Totals::rejected},
    {&ParticipantRecord::extended, &Totals::extended},
    {&ParticipantRecord::stale, &Totals::stale},
    {&ParticipantRecord::dropped, &Totals::dropped},
    {&ParticipantRecord::purged, &Totals::purged},
};

// { kind:1 | which total:7 | sequence (low bits) or participant:55 | set:1 }; 0: nothing under way.
constexpr unsigned what_bits = 55;
constexpr std::uint64_t what_mask = (std::uint64_t{1} << what_bits) - 1;

struct Step {
    bool fold = false;
    std::uint64_t which = 0;
    std::uint64_t what = 0;

    static Step unpack(std::uint64_t raw) {
        return {raw >> 63 != 0, raw >> 56 & 127, raw >> 1 & what_mask};
    }
    std::uint64_t pack() const {
        return std::uint64_t{fold} << 63 | which << 56 | (what & what_mask) << 1 | 1;
    }
};

// The value first: where a step stands, its value does.
void write(SegmentHeader& header, const Step& step, std::uint64_t value) {
    header.count_value.store(value, memory_order_relaxed);
    header.count_step.store(step.pack(), memory_order_release);  // [10]
}

void clear(SegmentHeader& header) {
    header.count_step.store(0, memory_order_release);  // [10]
}

// Whether the message is still there, in the supervisor's hands.
bool still_held(const QueueView& view, std::uint64_t sequence_low) {
    const std::uint64_t index = view.ring.index_of(sequence_low);
    const SlotWord word = view.ring.word_at(index);
    return word.state() == SlotState::leased && word.owner() == 0 &&
           (view.ring.slot(index).sequence.load(memory_order_relaxed) & what_mask) == sequence_low;
}

}  // namespace

void CountJournal::recover(QueueView& view) {
    const std::uint64_t raw = view.header->count_step.load(memory_order_acquire);  // [10]
    if (raw == 0) return;
    const Step step = Step::unpack(raw);
    const std::uint64_t value = view.header->count_value.load(memory_order_relaxed);
    Totals& totals = view.header->totals;
    if (step.fold) {
        const bool sound =
            step.which < std::size(folds) && step.what < view.geometry->shape.participants;
        if (sound) {
            (totals.*folds[step.which].to).store(value, memory_order_relaxed);
            (view.participants[step.what].*folds[step.which].from).store(0, memory_order_relaxed);
        }
    } else if (step.which < std::size(drop_totals) && !still_held(view, step.what)) {
        (totals.*drop_totals[step.which]).store(value, memory_order_relaxed);
    }
    clear(*view.header);
}

void CountJournal::begin_drop(QueueView& view, Drop why, std::uint64_t sequence) {
    const auto which = static_cast<std::uint64_t>(why);
    const auto& total = view.header->totals.*drop_totals[which];
    write(*view.header, {false, which, sequence}, total.load(memory_order_relaxed) + 1);
}

void CountJournal::end_drop(QueueView& view, Drop why, bool dropped) {
    if (dropped) bump(view.header->totals.*drop_totals[static_cast<std::uint64_t>(why)]);
    clear(*view.header);
}

// Into the totals, so that the number may count from zero again. Readers retry while `version` is
// odd, so nobody sees a message counted twice or not at all.
void CountJournal::fold(QueueView& view, std::uint16_t number) {
    Totals& totals = view.header->totals;
    ParticipantRecord& record = view.participants[number];
    // Odd already, where a predecessor died in here.
    const std::uint64_t version = totals.version.load(memory_order_relaxed) | 1;
    totals.version.exchange(version, memory_order_acq_rel);
    for (std::uint64_t which = 0; which < std::size(folds); ++which) {
        auto& from = record.*folds[which].from;
        auto& to = totals.*folds[which].to;
        std::uint64_t count = from.load(memory_order_relaxed);
        if (folds[which].from == &ParticipantRecord::dropped) {
            count = DropCount::unpack(count).dropped;
        }
        const std::uint64_t sum = to.load(memory_order_relaxed) + count;
        write(*view.header, {true, which, number}, sum);
        to.store(sum, memory_order_relaxed);
        from.store(0, memory_order_relaxed);
        clear(*view.header);
    }
    for (auto* counter :
         {&record.skips, &record.resent, &record.full, &record.sleeps, &record.wakes}) {
        counter->store(0, memory_order_relaxed);
    }
    totals.version.store(version + 1, memory_order_release);
}

}  // namespace shmq::shm
