// The supervisor's side of a queue with a journal: it empties the ingress ring, fills the front
// ring, and moves the gate back. What goes to disk in between is the daemon's matter.
//
// No doubles, whoever dies: before a refill publishes, its source and its place in the front ring
// are noted in the segment, so that a successor sees from the slot whether it happened. One refill
// at a time; the note is taken back before a claim that was skipped is freed (docs/decisions/0041).
//
// One thread, one supervisor at a time. Every byte of the segment is hostile input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shm/queue.hpp"

namespace shmq::shm {

// A message that stands in the ingress.
struct Arrival {
    std::uint64_t position = 0;
    std::uint64_t timestamp = 0;  // monotonic ns
    std::span<const std::byte> payload;
    bool damaged = false;  // its content makes no sense
};

// What is to be put into the front ring.
struct Refill {
    RefillSource source = RefillSource::none;
    std::uint64_t from = 0;  // LSN, or ingress position
    std::uint64_t lsn = 0;   // where it stands in the log; 0: nowhere
    std::uint64_t timestamp = 0;
    std::span<const std::byte> payload;
    // From another queue: it may be larger than what may be sent here. The first `length` bytes of
    // the payload are the message, its history is behind them if `marks` says so.
    bool moved = false;
    std::uint32_t length = 0;
    std::uint32_t marks = 0;  // beside the length in its word: length_history, length_redriven
    // It may have been delivered before, so often; 0: surely not.
    std::uint32_t deliveries = 0;
    std::uint32_t failures = 0;
};

enum class RefillStatus { done, full, too_large };

class JournalSide {
  public:
    explicit JournalSide(const QueueView& view);

    // ---- The ingress ----
    // The oldest message that was not taken yet. It stays where it is until free_through().
    bool take(Arrival& arrival);
    // Frees the messages taken up to that position, it included, and wakes who waits for room.
    void free_through(std::uint64_t position);
    // Whether there is one: a look that takes nothing.
    bool arrived() const;
    // What was taken from that position on will be taken again.
    void take_again(std::uint64_t position) { take_cursor_.next = position; }
    void count_damaged() { add(view_.header->totals.dropped_damaged, 1); }
    void count_moved_in() { add(view_.header->totals.moved_in, 1); }
    void count_purged(std::uint64_t messages) { add(view_.header->totals.purged, messages); }
    // The first position that may still hold something.
    std::uint64_t oldest() const { return free_next_; }
    // How many stand there, taken ones included: walks the ring.
    std::uint64_t count() const;

    // ---- The front ring ----
    // full: no slot, or no block for it, is free. One whose source is the ingress is freed there;
    // wakes a receiver.
    RefillStatus refill(const Refill& message);
    // A place of the log from which on messages are still to come: no refill awaits what is before.
    std::uint64_t refilled() const {
        return view_.header->journal.refilled.load(memory_order_relaxed);
    }
    void skip_to(std::uint64_t lsn) {
        view_.header->journal.refilled.store(lsn, memory_order_release);
    }

    // LSNs of messages that were put into the front ring of a durable queue and are gone: acked,
    // dropped or moved. Each is told once.
    void take_gone(std::vector<std::uint64_t>& lsns);
    // Whether some were put there of which that was not told.
    bool outstanding() const { return after(filled_end_, told_next_) || !displaced_.empty(); }
    // LSNs of those that are there, in no order.
    std::vector<std::uint64_t> in_front() const;

    // ---- The gate ----
    GateState gate() const { return look_at_gate(*view_.header).state(); }
    // From journal to direct. REQUIRES: the log holds nothing that is still to come. False:
    // something is in the ingress, or a producer has called the gate back.
    bool try_direct();

    // ---- Sleeping ----
    // Tells producers to ring; then look once more before going to sleep. [12]
    void listen(bool on);
    // The same for consumers that make room.
    void want_room(bool on);

    // ---- The disk ----
    // Whether it has room. Producers that sleep in a full queue are woken to see that it has none:
    // when_full may refuse them now. [14]
    void tell_room(bool there);

    // ---- Confirms ----
    // All in the ingress before these positions is logged, and durable. Wakes who awaits it.
    void confirm(std::uint64_t logged, std::uint64_t durable);

    // ---- After a predecessor ----
    // Finishes or forgets the refill that it was in. Before any other verb, and before anything
    // sweeps the front ring.
    void recover();

    bool damaged() const { return damaged_; }
    void refresh(const QueueView& view) { view_ = view; }

  private:
    static void add(Atomic<std::uint64_t>& total, std::uint64_t by) {
        total.store(total.load(memory_order_relaxed) + by, memory_order_relaxed);
    }
    bool fill(const Refill& message, std::uint64_t position, BlockHandle block);
    void undo_claim(std::uint64_t position);
    void note(const Refill& message, std::uint64_t position);
    void clear_note();
    void move_on(const Refill& message);
    bool free_at(std::uint64_t position);

    QueueView view_;
    Cursor take_cursor_;           // of the ingress
    std::uint64_t free_next_ = 0;  // everything before it was freed
    Cursor front_cursor_;
    std::uint64_t filled_end_ = 0;          // behind the last position that a refill took
    std::uint64_t told_next_ = 0;           // what was put before it was told as gone
    std::vector<std::uint64_t> displaced_;  // gone, and its place is taken again
    BlockPool::Cursors block_cursors_;
    bool damaged_ = false;
};

}  // namespace shmq::shm
