#include "step/world.hpp"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <stdexcept>
#include <tuple>

#include "shm/audit.hpp"
#include "shm/wait.hpp"

namespace shmq::step {
namespace {

constexpr std::uint32_t participants_most = 12;
constexpr std::uint64_t pool_bytes = 16 << 10;
constexpr std::uint32_t in_flight_any = 1024;
constexpr std::size_t large_at_once = 8;  // half of the pool's blocks
constexpr std::uint32_t messages_of_subject = 4;

struct Made {
    std::unique_ptr<shm::Segment> segment;
    std::vector<std::byte> image;
};

// Segments are made once a shape and brought back to their first bytes for each world.
shm::Segment& fresh_segment(const Setting& setting, bool for_dead = false) {
    using Key =
        std::tuple<std::uint32_t, shm::Overflow, bool, Nanoseconds, std::uint32_t, bool, bool>;
    static std::map<Key, Made> made;
    Made& entry = made[{setting.flags, setting.overflow, setting.large, setting.retry_delay,
                        setting.max_deliveries, setting.dead_letters, for_dead}];
    if (entry.segment == nullptr) {
        shm::Shape shape{};
        shape.capacity = ring_capacity;
        shape.slot_size = limits::slot_size_min_bytes;
        shape.max_message = setting.large ? large_bytes : small_bytes;
        shape.pool_bytes = setting.large ? pool_bytes : 0;
        shape.participants = participants_most;
        shape.overflow = static_cast<std::uint32_t>(setting.overflow);
        shape.flags = setting.flags;
        shm::Policy policy{};
        if (!for_dead) {
            policy.retry_first_ns = static_cast<std::uint64_t>(setting.retry_delay);
            policy.retry_max_ns = policy.retry_first_ns;
            policy.max_deliveries = setting.max_deliveries;
            if (setting.dead_letters) std::strcpy(policy.dead_letter, "dead");
        }
        const std::uint8_t identity[16] = {static_cast<std::uint8_t>(for_dead ? 6 : 5)};
        shm::AttachFailure failure;
        entry.segment = shm::Segment::create(shm::with_defaults(shape), identity, failure, policy);
        if (entry.segment == nullptr || !entry.segment->create_pool(failure)) {
            throw std::runtime_error("no segment: " + failure.detail);
        }
        // The subject is a fork of ours that works on, which no client may be.
        ::madvise(entry.segment->ring_base(), entry.segment->geometry().segment_bytes, MADV_DOFORK);
        if (setting.large) ::madvise(entry.segment->pool_base(), pool_bytes, MADV_DOFORK);
        const std::byte* base = entry.segment->ring_base();
        entry.image.assign(base, base + entry.segment->geometry().segment_bytes);
        shm::register_for_barriers();
    }
    std::memcpy(entry.segment->ring_base(), entry.image.data(), entry.image.size());
    return *entry.segment;
}

}  // namespace

shm::Segment& fresh_dead_segment(const Setting& setting) {
    Setting dead = setting;
    dead.flags &= ~(shm::exclusive_producer | shm::journal_present | shm::durable_log);
    dead.overflow = shm::Overflow::block;
    return fresh_segment(dead, true);
}

// ---- Memory ------------------------------------------------------------------------------------

Memory::Memory(const std::vector<shm::Segment*>& segments, Log* log, Report& reports,
               int report_count) {
    for (const shm::Segment* segment : segments) {
        const shm::Geometry& geometry = segment->geometry();
        add(segment->ring_base(), geometry.segment_bytes);
        if (segment->pool_base() != nullptr) add(segment->pool_base(), geometry.pool_bytes);
    }
    if (log != nullptr) add(log, sizeof *log);
    add(&reports, static_cast<std::size_t>(report_count) * sizeof reports);
}

void Memory::add(void* base, std::size_t bytes) {
    parts_.push_back({static_cast<std::byte*>(base), std::vector<std::byte>(bytes)});
}

void Memory::save() {
    for (Part& part : parts_)
        std::memcpy(part.saved.data(), part.base, part.saved.size());
}

void Memory::restore() const {
    for (const Part& part : parts_)
        std::memcpy(part.base, part.saved.data(), part.saved.size());
}

bool Memory::changed() const {
    for (const Part& part : parts_) {
        if (std::memcmp(part.base, part.saved.data(), part.saved.size()) != 0) return true;
    }
    return false;
}

// ---- Before the operation ----------------------------------------------------------------------

World::World(const Setting& setting)
    : setting_(setting),
      segment_(&fresh_segment(setting)),
      view_(segment_->ring_base(), segment_->pool_base(), segment_->geometry()),
      supervise_(std::in_place, *segment_) {
    std::uint64_t lap = setting_.ring.first_lap;
    if (view_.has_journal()) lap -= laps_through_journal;
    lap &= shm::lap_mask;
    for (std::uint64_t index = 0; index < ring_capacity; ++index) {
        view_.ring.slot(index).word.store(shm::SlotWord::free(lap).raw);
    }
    view_.header->head.store(lap * ring_capacity);
    view_.header->tail.store(lap * ring_capacity);
    if (view_.has_journal()) begin_journal();

    const bool one_producer = (setting_.flags & shm::exclusive_producer) != 0;
    const bool one_consumer = (setting_.flags & shm::exclusive_consumer) != 0;
    const bool subject_sends = setting_.subject == shm::Role::producer;
    if (setting_.subject != shm::Role::none) subject_ = admit(setting_.subject);
    if (!one_producer || !subject_sends) producer_ = admit(shm::Role::producer);
    if (!one_consumer || subject_sends || setting_.subject == shm::Role::none)
        consumer_ = admit(shm::Role::consumer);
    if (!one_producer) stopped_ = admit(shm::Role::producer);
    if (!one_consumer) holder_ = admit(shm::Role::consumer);
    view_.header->in_flight_cap.store(in_flight_any);
    const bool drops = setting_.overflow == shm::Overflow::drop_oldest;
    if (drops || setting_.purges) ledger_.allow_untold_deliveries();
    if (setting_.dead_letters) prepare_dead();
    if (journal_) go_through_journal();
    prepare_ring();
    prepare_subject();
    if (journal_) prepare_journal();
    subject_.held.reserve(2 * ring_capacity);
    if (setting_.leases_run_out) let_leases_run_out();
    if (setting_.ring.sleepers) others_fall_asleep();
    if (!ledger_.broken().empty()) throw std::runtime_error("prepare: " + ledger_.broken());
}

Party World::admit(shm::Role role, bool among_dead) {
    shm::Supervise& supervise = among_dead ? *dead_->supervise : *supervise_;
    const shm::QueueView& view = among_dead ? dead_->view : view_;
    const std::uint32_t flags = view.geometry->shape.flags;
    Party party;
    party.among_dead = among_dead;
    party.role = role;
    const bool sends = role == shm::Role::producer;
    const bool exclusive =
        (flags & (sends ? shm::exclusive_producer : shm::exclusive_consumer)) != 0;
    party.number = supervise.admit(role, exclusive, {1, 1}, now_);
    if (party.number == 0) ledger_.breach("no number is free");
    if (sends) {
        party.sender.emplace(view, party.number, false);
    } else {
        party.receiver.emplace(view, party.number, in_flight_any, false);
    }
    return party;
}

void World::prepare_ring() {
    const RingState& ring = setting_.ring;
    come_and_go(ring.advance);
    if (ring.old_claim_ahead) {
        claim_and_stop();
        fill_up();
        purge_all();
    }
    hold_ahead(ring.held);
    return_some(ring.returned);
    if (ring.leases_seen) supervise_->sweep(now_);
    if (ring.rejected) reject_one();
    if (ring.delayed) delay_some();
    if (ring.lost_cell) {
        for (std::uint64_t index = 0; index < ring_capacity; ++index) {
            view_.map.replace(index, view_.map.cell(index),
                              shm::cleared_cell(view_.map.cell(index)));
        }
    }
    if (ring.claim_in_front) claim_and_stop();
    for (std::uint32_t i = 0; i < ring.ready; ++i)
        send(any_sender(), one_large());
}

// What the subject has in its hands when it begins, and the messages that it is going to send.
void World::prepare_subject() {
    const std::size_t wanted = subject_.held.size() + setting_.subject_holds;
    for (std::uint32_t i = 0; i < setting_.subject_holds; ++i) {
        send(any_sender(), one_large());
        if (i >= setting_.subject_returns) continue;
        while (receive(any_receiver()) && any_receiver().held.back().delivery.deliveries == 1)
            nack(any_receiver(), any_receiver().held.size() - 1);
        nack(any_receiver(), any_receiver().held.size() - 1);
    }
    while (subject_.held.size() < wanted && receive(subject_)) {
    }
    const std::size_t kept = subject_.held.size() - setting_.subject_holds + 1;
    while (setting_.subject_acked_behind && subject_.held.size() > kept)
        ack(subject_, subject_.held.size() - 1);
    if (setting_.subject_acked_behind) return fill_up();
    if (subject_.held.size() != wanted) ledger_.breach("the subject holds too few");
    if (setting_.ring.full) fill_up();
    if (setting_.subject != shm::Role::producer) return;
    for (std::uint32_t i = 0; i < messages_of_subject; ++i)
        subject_.to_send.push_back(ledger_.announce(subject_.number));
}

bool World::one_large() {
    return setting_.large && shm::count_states(*segment_).blocks_used < large_at_once;
}

void World::come_and_go(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
        send(any_sender(), setting_.large && i % 2 == 0);
        if (receive(any_receiver())) ack(any_receiver(), any_receiver().held.size() - 1);
    }
}

// Messages that another consumer took and has not acked for nearly a lap: the next to be sent has
// to pass over their slots. An exclusive consumer's mark is in the ring only after a return.
void World::hold_ahead(std::uint32_t count) {
    if (count == 0) return;
    Party& holder = holder_.there() ? holder_ : any_receiver();
    for (std::uint32_t i = 0; i < count; ++i) {
        send(any_sender(), one_large());
        if (!receive(holder)) return ledger_.breach("nothing to hold");
        if (holder_.there()) continue;
        nack(holder, holder.held.size() - 1);
        receive(holder);
    }
    for (std::uint32_t i = 0; i < ring_capacity - count; ++i) {
        send(any_sender(), false);
        if (receive(any_receiver())) ack(any_receiver(), any_receiver().held.size() - 1);
    }
}

void World::return_some(std::uint32_t count) {
    Party& party = any_receiver();
    const std::size_t kept = party.held.size();
    for (std::uint32_t i = 0; i < count; ++i) {
        send(any_sender(), one_large());
        receive(party);
    }
    while (party.held.size() > kept)
        nack(party, party.held.size() - 1);
}

void World::reject_one() {
    Party& party = any_receiver();
    send(any_sender(), one_large());
    if (!receive(party)) return ledger_.breach("nothing to reject");
    Held held = party.held.back();
    party.held.pop_back();
    say(party, Verb::reject, held.id, false, false);
    const bool done = party.receiver->reject(held.delivery) == shm::HoldStatus::done;
    say(party, Verb::reject, held.id, true, done);
}

// One delayed that is due now, one that is not yet, and one of which the supervisor does not know.
void World::delay_some() {
    Party& party = any_receiver();
    const auto delay = [&](Nanoseconds time) {
        send(any_sender(), one_large());
        if (!receive(party)) return ledger_.breach("nothing to delay");
        Held held = party.held.back();
        party.held.pop_back();
        const Nanoseconds due = now_ + time;
        say(party, Verb::nack, held.id, false, false);
        const bool done = party.receiver->nack(held.delivery, static_cast<std::uint64_t>(due)) ==
                          shm::HoldStatus::done;
        ledger_.tell(party.name(),
                     {Verb::nack, true, done, held.id, static_cast<std::uint64_t>(due), 0});
    };
    delay(nanoseconds_per_second);
    delay(3 * nanoseconds_per_second);
    supervise_->sweep(now_);
    now_ += nanoseconds_per_second;
    delay(nanoseconds_per_second);
}

// As `send` does, up to but not including the publish; and one message behind it.
void World::claim_and_stop() {
    if (!stopped_.there()) return;
    shm::Cursor cursor;
    std::uint64_t position = 0;
    stopped_message_ = ledger_.announce(stopped_.number);
    say(stopped_, Verb::send, stopped_message_, false, false);
    if (view_.ring.claim(cursor, stopped_.number, position) != shm::ClaimStatus::claimed) {
        return ledger_.breach("nothing to claim");
    }
    shm::SlotHeader& slot = view_.ring.slot(position);
    slot.sequence.store(position);
    slot.length.store(small_bytes);
    Ledger::write_payload(stopped_message_, view_.ring.payload(position), small_bytes);
    stopped_claim_ = position;
    send(any_sender(), false);
}

void World::finish_claim() {
    if (!stopped_claim_) return;
    // Others may have gone past it. To free it is for its owner alone, who may be writing there.
    const shm::SlotWord word = view_.ring.word_at(*stopped_claim_);
    if (word.owner() != stopped_.number ||
        (word.state() != shm::SlotState::writing && word.state() != shm::SlotState::skipped)) {
        ledger_.breach("the claim of a living producer was taken from it");
    }
    const bool published = view_.ring.publish(*stopped_claim_, stopped_.number);
    if (published) shm::bump(stopped_.sender->record().sent);
    say(stopped_, Verb::send, stopped_message_, true, published);
    stopped_claim_.reset();
}

// Until a send finds no room, or had to drop another for it.
void World::fill_up() {
    const bool drops = setting_.overflow == shm::Overflow::drop_oldest;
    for (std::uint64_t i = 0; i < ring_capacity; ++i) {
        if (journal_ && room(view_.ring) == 0) return;
        if (drops && shm::count_states(*segment_).ready == ring_capacity) return;
        if (!send(any_sender(), one_large())) return;
    }
}

void World::purge_all() {
    supervise_->purge();
    purged_ = true;
}

}  // namespace shmq::step
