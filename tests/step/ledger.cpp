#include "step/ledger.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace shmq::step {

MessageId Ledger::announce(std::uint16_t producer) {
    Message message;
    message.producer = producer;
    messages_.push_back(message);
    return static_cast<MessageId>(messages_.size() - 1);
}

void Ledger::write_payload(MessageId id, std::byte* data, std::size_t length) {
    for (std::size_t at = 0; at + sizeof id <= length; at += sizeof id) {
        std::memcpy(data + at, &id, sizeof id);
    }
}

MessageId Ledger::read_payload(const std::byte* data, std::size_t length) {
    MessageId id = 0;
    if (length < sizeof id) {
        breach("a message of " + std::to_string(length) + " bytes was never sent");
        return 0;
    }
    std::memcpy(&id, data, sizeof id);
    for (std::size_t at = 0; at + sizeof id <= length; at += sizeof id) {
        if (std::memcmp(data + at, &id, sizeof id) != 0) {
            breach("a message arrived with other bytes than were sent");
        }
    }
    if (id < messages_.size()) return id;
    breach("message " + std::to_string(id) + " was never sent, but delivered");
    return 0;
}

void Ledger::tell(std::uint16_t participant, const Entry& entry) {
    ++clock_;
    if (entry.verb == Verb::receive && !entry.returned) {
        // What the one before brought was never told, for its lease was over by then.
        untold_deliveries_ |= receives_.contains(participant);
        receives_[participant] = clock_;
        return;
    }
    if (entry.id >= messages_.size()) return breach_of(entry.id, "is nobody's");
    Message& message = messages_[entry.id];
    switch (entry.verb) {
        case Verb::send:
            return told_send(message, entry);
        case Verb::receive:
            return told_receive(participant, message, entry);
        default:
            return told_end(message, entry);
    }
}

void Ledger::leaves(std::uint16_t participant) {
    untold_deliveries_ |= receives_.erase(participant) != 0;
}

void Ledger::told_send(Message& message, const Entry& entry) {
    if (!entry.returned) {
        message.begun = clock_;
        return;
    }
    message.returned = clock_;
    message.refused = !entry.done;
    if (message.refused && message.published) {
        breach_of(entry.id, "was delivered, though its send was refused");
    }
}

// A delivery happens at some instant of its call: what others did during the call may have come
// before it or after it.
void Ledger::told_receive(std::uint16_t consumer, Message& message, const Entry& entry) {
    const auto call = receives_.find(consumer);
    const std::uint64_t begun = call == receives_.end() ? clock_ : call->second;
    if (message.begun == 0) breach_of(entry.id, "was delivered before its send began");
    if (message.refused) breach_of(entry.id, "was delivered, though its send was refused");
    const bool moves = message.redriven || (consumer & among_dead) != 0;
    const bool goes_on = rejects_are_moved_ && message.rejected && !message.acked && moves;
    if (message.ended_at != 0 && message.ended_at < begun && !goes_on) {
        breach_of(entry.id, message.acked     ? "was delivered after its ack had returned"
                            : message.dropped ? "was delivered after it had been dropped"
                                              : "was delivered after its reject had returned");
    }
    check_place(consumer, message, entry, begun);
    const std::uint64_t bit = std::uint64_t{1} << (entry.deliveries & 63);
    if ((message.deliveries & bit) != 0) {
        breach_of(entry.id, entry.deliveries == 1
                                ? "was delivered twice without the redelivered mark"
                                : "was delivered twice with the same count of deliveries");
    }
    if (message.deliveries > bit && message.delivered_at < begun) {
        breach_of(entry.id, "was delivered with a count of deliveries that does not grow");
    }
    // Who began to receive and has not said what came of it may have had it, too.
    const auto told = static_cast<std::uint32_t>(std::popcount(message.deliveries));
    if (entry.deliveries > told + 1 && receives_.empty() && !untold_deliveries_) {
        breach_of(entry.id, "was delivered with a count of deliveries that grows by itself");
    }
    message.deliveries |= bit;
    message.delivered_at = clock_;
    if (call != receives_.end()) receives_.erase(call);
    message.published = true;
    message.dead = message.dead || (consumer & among_dead) != 0;
    message.position = entry.sequence;
    // What was taken by hand and put back comes later than it would have.
    if (entry.deliveries > 1 || message.taken_by_hand) return;
    const auto known =
        std::find_if(progress_.begin(), progress_.end(), [&](const Progress& progress) {
            return progress.consumer == consumer && progress.producer == message.producer;
        });
    if (known == progress_.end()) {
        progress_.push_back({consumer, message.producer, message.begun});
    } else {
        if (known->last > message.begun) breach_of(entry.id, "came after one that was sent later");
        known->last = message.begun;
    }
}

// Under one sequence, as long as it is in one queue; and it goes from there to the dead letters,
// but not back by itself.
void Ledger::check_place(std::uint16_t consumer, const Message& message, const Entry& entry,
                         std::uint64_t begun) {
    const bool here = (consumer & among_dead) == 0;
    const bool was_here = (message.producer & among_dead) == 0 && !message.dead;
    if (message.redriven || !message.published) return;
    if (here == was_here && message.position != entry.sequence) {
        breach_of(entry.id, "was delivered under two sequences");
    }
    if (here && !was_here && message.delivered_at < begun)
        breach_of(entry.id, "came back from the dead letters");
}

void Ledger::told_end(Message& message, const Entry& entry) {
    const std::uint32_t change = entry.returned ? UINT32_MAX : 1;  // open calls
    const bool done = entry.returned && entry.done;
    switch (entry.verb) {
        case Verb::ack:
            message.open_acks += change;
            if (done && message.acked) breach_of(entry.id, "was acked twice");
            if (done && message.rejected && !rejects_are_moved_)
                breach_of(entry.id, "was acked after it was rejected");
            message.acked |= done;
            if (done) message.ended_at = clock_;
            return;
        case Verb::reject:
            message.open_rejects += change;
            if (done && message.acked && !rejects_are_moved_)
                breach_of(entry.id, "was rejected after its ack");
            message.rejected |= done;
            if (done) message.ended_at = clock_;
            return;
        case Verb::nack:
            message.open_nacks += change;
            nacked_ += done ? 1 : 0;
            if (done) message.due = static_cast<Nanoseconds>(entry.sequence);
            return;
        case Verb::drop:
            message.open_drops += change;
            message.taken_by_hand = true;
            message.dropped |= done;
            if (done) message.ended_at = clock_;
            return;
        case Verb::give_back:
            message.due = done ? static_cast<Nanoseconds>(entry.sequence) : 0;
            return;
        default:
            extended_ += done ? 1 : 0;
            return;
    }
}

void Ledger::told_gone(MessageId id) {
    const Message& message = messages_[id];
    const bool ended = message.acked || message.rejected || message.dropped ||
                       message.open_acks + message.open_rejects + message.open_drops != 0;
    // A death may have made a dead letter of it.
    if (!ended && !rejects_are_moved_) breach_of(id, "is gone for its log, and was not acked");
}

Ledger::Counts Ledger::counts() const {
    Counts counts;
    counts.nacked = nacked_;
    counts.extended = extended_;
    for (const Message& message : messages_) {
        counts.maybe_nacked += message.open_nacks;
        if (message.begun == 0 || message.refused) continue;
        const bool sent = message.returned != 0;
        const bool maybe_acked = !message.acked && message.open_acks != 0;
        const bool maybe_rejected = !message.rejected && message.open_rejects != 0;
        ++(sent ? counts.sent : counts.maybe_sent);
        counts.acked += message.acked ? 1 : 0;
        counts.maybe_acked += maybe_acked ? 1 : 0;
        counts.rejected += message.rejected ? 1 : 0;
        if (message.acked) continue;
        const bool open = maybe_acked || maybe_rejected || message.open_drops != 0;
        ++(sent && !open ? counts.vanished : counts.maybe_vanished);
    }
    return counts;
}

void Ledger::close(bool losses_allowed) {
    for (MessageId id = 0; id < messages_.size(); ++id) {
        const Message& message = messages_[id];
        const bool sent = message.returned != 0 && !message.refused;
        const bool rejected = message.rejected || message.open_rejects != 0;
        const bool ended = message.acked || message.open_acks != 0 || message.dropped ||
                           message.open_drops != 0 || (rejected && !rejects_are_moved_);
        if ((sent || message.published) && !ended && !losses_allowed) breach_of(id, "was lost");
    }
    check_order();
}

// A send that returned before another began has the earlier position.
void Ledger::check_order() {
    std::vector<const Message*> order;
    for (const Message& message : messages_) {
        const bool moved = message.dead || message.redriven;
        if (message.published && !moved) order.push_back(&message);
    }
    std::sort(order.begin(), order.end(), [](const Message* a, const Message* b) {
        return static_cast<std::int64_t>(a->position - b->position) < 0;
    });
    std::uint64_t latest_begin = 0;
    for (const Message* message : order) {
        if (message->returned != 0 && message->returned < latest_begin) {
            breach_of(static_cast<MessageId>(message - messages_.data()),
                      "lies behind one whose send began after it had returned");
        }
        latest_begin = std::max(latest_begin, message->begun);
    }
}

}  // namespace shmq::step
