// A queue in a prepared state, with everybody who takes part in it: the process under test (the
// subject), another producer and consumer, a producer that stopped within a send, a consumer that
// holds messages. What they keep outside shared memory can be copied, so that a trial starts from
// the same point again and again: shared memory is put back by Memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/audit.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"
#include "shm/supervise.hpp"
#include "step/journal.hpp"
#include "step/ledger.hpp"
#include "step/report.hpp"

namespace shmq::step {

constexpr std::uint64_t ring_capacity = 64;
// That a queue with a journal has been through before its state is made.
constexpr std::uint64_t laps_through_journal = 2;
constexpr std::size_t small_bytes = 16;  // fits a slot
constexpr std::size_t large_bytes = 48;  // needs a block

// The state of the ring when the subject begins, besides what its operation needs.
struct RingState {
    const char* name = "";
    std::uint64_t first_lap = 0;
    std::uint32_t advance = 0;     // messages that have come and gone
    std::uint32_t held = 0;        // by another consumer, a lap ago, ahead of the tail
    std::uint32_t returned = 0;    // waiting to be delivered again
    std::uint32_t ready = 0;       // sent and not taken
    bool full = false;             // as many more as fit
    bool claim_in_front = false;   // a stopped producer's claim, and a message behind it
    bool old_claim_ahead = false;  // the same, a lap ago, with room behind it
    bool acked_behind = false;     // see Setting::subject_acked_behind
    bool rejected = false;         // the holder of messages has rejected one
    bool lost_cell = false;        // a returned message's cell says nothing
    bool leases_seen = false;      // by the supervisor, so that they can run out
    bool sleepers = false;         // a consumer and a producer are registered as asleep
    bool delayed = false;          // one that is due, one that is not yet, both seen; one not seen
    bool dead = false;             // two lie in the dead-letter queue
    bool dead_full = false;        // which has room for one more only
    // Of the journal, the front ring being full but for what the subject took:
    std::uint32_t logged = 0;   // messages that stand in the log
    std::uint32_t arrived = 0;  // in the ingress, and the supervisor has not looked
    std::uint32_t taken = 0;    // from the front ring since, by another consumer
    bool late = false;  // a producer that found the gate direct long ago is about to claim in front
    bool disk_full = false;  // the log takes no more, and the ingress is full
    enum class Gate : std::uint8_t { found, journal, closing, called_back } gate = Gate::found;
};

// The bytes that processes share, and a place to put them back from.
class Memory {
  public:
    Memory(const std::vector<shm::Segment*>& segments, Log* log, Report& reports, int report_count);
    void save();
    void restore() const;
    bool changed() const;  // since save()

  private:
    void add(void* base, std::size_t bytes);
    struct Part {
        std::byte* base;
        std::vector<std::byte> saved;
    };
    std::vector<Part> parts_;
};

struct Held {
    shm::Delivery delivery;
    MessageId id = 0;
};

struct Party {
    std::uint16_t number = 0;  // 0: is not there
    shm::Role role = shm::Role::none;
    std::optional<shm::SendSide> sender;
    std::optional<shm::ReceiveSide> receiver;
    std::vector<Held> held;
    std::vector<MessageId> to_send;  // the subject's, announced beforehand
    bool there() const { return number != 0; }
    bool among_dead = false;  // takes part in the dead-letter queue
    // As the ledger knows it.
    std::uint16_t name() const {
        return among_dead ? static_cast<std::uint16_t>(number | Ledger::among_dead) : number;
    }
};

struct Setting {
    std::uint32_t flags = 0;
    shm::Overflow overflow = shm::Overflow::block;
    RingState ring;
    shm::Role subject = shm::Role::producer;
    std::uint32_t subject_holds = 0;    // messages in the subject's hands at the start
    std::uint32_t subject_returns = 0;  // of which so many came from the returned map
    bool subject_acked_behind = false;  // all but the first of them were acked already
    bool large = false;                 // messages need blocks
    bool purges = false;                // the operation drops messages
    bool leases_run_out = false;        // just before it begins
    Nanoseconds retry_delay = 0;        // of the queue
    std::uint32_t max_deliveries = 0;   // of the queue
    bool dead_letters = false;          // the queue has a dead-letter queue
};

// The queue for dead letters, with a producer and a consumer of its own.
struct DeadQueue {
    shm::Segment* segment = nullptr;
    shm::QueueView view;
    std::optional<shm::Supervise> supervise;
    Party producer, consumer;
};

// The segment of the dead-letter queue, with its first bytes.
shm::Segment& fresh_dead_segment(const Setting& setting);

class World {
  public:
    explicit World(const Setting& setting);
    World(const World& other) = default;
    World& operator=(const World&) = delete;

    // ---- What can happen in a trial ----
    // The subject is dead, or has detached: as the daemon does when it learns of it.
    void reclaim_subject(shm::Ending ending);
    void hang_up_subject();
    void subject_dies();  // and nobody has noticed yet
    // The supervisor looks, so that leases can run out before its next look.
    void see_leases() { supervise_->sweep(now_); }
    void let_leases_run_out();  // and nobody has looked yet
    void expire_leases();
    // A new daemon over the same memory. `take_over`: its predecessor died, and may have left
    // things half done; a subject that is dead is so still.
    void change_supervisor(bool take_over);
    // Nobody but the process under test does the supervisor's work, until there is another one.
    void supervisor_is_under_test() { away_ = true; }
    // What the supervisor has under way to the disk comes there although it dies.
    void disk_keeps_all(bool keeps) { disk_keeps_all_ = keeps; }
    // The supervisor's work with its journal, if it has one.
    void work_on_journal();
    void work_as_supervisor();  // the process under test
    // As a successor does it, before anything else.
    void take_over_journal();
    // What a supervisor under test has done to completion: the subject's number is free.
    void subject_was_reclaimed();
    // What has failed too often goes to the dead-letter queue, as far as that has room.
    void bury();
    // All that lies there comes back.
    void redrive();
    // Everybody but the subject goes round the ring. A breach if they cannot.
    void others_go_on(bool subject_is_stopped);
    // The other consumer and the other producer look once more, find nothing, and sleep.
    void others_fall_asleep();
    // They are awake afterwards. A breach if one slept on although there was something for it, and
    // nobody is in the middle of a step who would have woken it.
    void wake_others(bool subject_is_stopped);
    // One message more, for a subject that sleeps; or room for one.
    void feed_subject();
    // What the subject has said since the last time.
    void hear(const Report& report);
    // Everybody ends and leaves; then the books are closed. `counters_exact`: nobody was killed
    // between a step and its count.
    void finish(bool counters_exact);

    // ---- State ----
    shm::Segment& segment() { return *segment_; }
    std::vector<shm::Segment*> segments() const;
    Log* log() const { return journal_ ? log_ : nullptr; }
    // The messages in that state, by slot.
    std::vector<Held> messages(shm::SlotState state, bool among_dead = false) const;
    shm::QueueView& view() { return view_; }
    shm::Supervise& supervise() { return *supervise_; }
    Party& subject() { return subject_; }
    Party& holder() { return holder_; }
    Party& consumer() { return consumer_; }
    Party& producer() { return producer_; }
    Ledger& ledger() { return ledger_; }
    Nanoseconds& now() { return now_; }
    const Setting& setting() const { return setting_; }
    bool subject_exclusive() const {
        return setting_.flags & (setting_.subject == shm::Role::producer ? shm::exclusive_producer
                                                                         : shm::exclusive_consumer);
    }

  private:
    Party admit(shm::Role role, bool among_dead = false);
    void prepare();
    void prepare_subject();
    // `patient`: once more, after the supervisor was told.
    bool send(Party& party, bool large, bool patient = true);
    bool receive(Party& party, bool patient = true);
    shm::SendStatus attempt(Party& party, MessageId id, bool large);
    bool supervisor_was_told(Party& party);
    void ack(Party& party, std::size_t which);
    void nack(Party& party, std::size_t which);
    void ack_all(Party& party);
    bool take_and_ack(bool patient = true);
    bool one_large();
    void come_and_go(std::uint32_t count);
    void prepare_ring();
    void prepare_dead();
    void begin_journal();
    void go_through_journal();
    void prepare_journal();
    void close_gate(bool called_back);
    void wake_supervisor(bool subject_is_stopped);
    void go_on_without_supervisor();
    void send_late();
    void check_journal();
    void end_journal();
    void delay_some();
    // What the subject holds when it dies, and whom that must blame.
    struct InHand {
        std::uint64_t sequence;
        shm::Attempts before;
        bool counted;  // its delivery was counted already
    };
    void note_what_it_holds();
    void check_blame();
    void settle_moves();
    void check_history(const Party& party, const Held& held);
    bool settle_books();
    void hold_ahead(std::uint32_t count);
    void return_some(std::uint32_t count);
    void reject_one();
    void claim_and_stop();
    void finish_claim();
    void purge_all();
    void replace_subject();
    void reclaim_strangers();
    Party& any_sender() { return producer_.there() ? producer_ : subject_; }
    Party& any_receiver() { return consumer_.there() ? consumer_ : subject_; }
    void drain(Party& consumer);
    shm::StateCounts states_of(const Party& party) const;
    std::uint64_t room(const shm::SlotRing& ring) const;
    void fill_ring(Party& producer);
    void fill_up();
    void go_round(Party& producer, Party& consumer);
    void check_counters(bool exact);
    void check_empty(const shm::Segment& segment, const shm::QueueView& view);
    void check_moves();
    void say(Party& party, Verb verb, MessageId id, bool returned, bool done);

    Setting setting_;
    shm::Segment* segment_;
    shm::QueueView view_;
    std::optional<shm::Supervise> supervise_;
    Ledger ledger_;
    Party subject_, producer_, consumer_, holder_, stopped_;
    std::optional<std::uint64_t> stopped_claim_;
    MessageId stopped_message_ = 0;
    bool late_ = false;  // the stopped one has only looked at the gate
    std::optional<DeadQueue> dead_;
    Log* log_ = nullptr;
    std::optional<Journal> journal_;
    bool told_ = false;  // the supervisor was, and has not looked yet
    bool away_ = false;
    bool disk_keeps_all_ = true;
    std::uint32_t heard_rings_ = 0;
    std::optional<std::vector<InHand>> in_hand_;  // until anybody else goes on
    std::optional<std::uint64_t> said_in_hand_;
    bool died_receiving_ = false;
    std::optional<shm::WaitTicket> items_ticket_, space_ticket_;
    std::uint32_t heard_ = 0;
    bool subject_gone_ = false;
    bool thorough_ = true;  // looks for returned messages that nobody has announced
    bool subject_dead_ = false;
    bool purged_ = false;
    Nanoseconds now_ = nanoseconds_per_second;
};

}  // namespace shmq::step
