// What became of each message of a trial, told by those who called: sent, delivered, acked. Keeps
// the first promise that was broken.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "step/report.hpp"

namespace shmq::step {

class Ledger {
  public:
    // Participants of the dead-letter queue are told apart by this bit.
    static constexpr std::uint16_t among_dead = 0x100;

    // A message that somebody is going to send; nothing has begun yet.
    MessageId announce(std::uint16_t producer);
    // By a call of `participant`, in the order in which things happened.
    void tell(std::uint16_t participant, const Entry& entry);
    // Its number may be another's from here on.
    void leaves(std::uint16_t participant);
    // Bytes of a message: its number, over and over.
    static void write_payload(MessageId id, std::byte* data, std::size_t length);
    // The message with these bytes; a breach if they are no message's.
    MessageId read_payload(const std::byte* data, std::size_t length);

    // Deliveries that nobody told of may come between: by drop-oldest, or by purge.
    void allow_untold_deliveries() { untold_deliveries_ = true; }

    // Rejected messages go on in the dead-letter queue.
    void rejects_are_moved() { rejects_are_moved_ = true; }
    // That message may come back from the dead-letter queue.
    void redrives(MessageId id) { messages_[id].redriven = true; }
    // Before that it must not be delivered; 0: it may.
    Nanoseconds due(MessageId id) const { return messages_[id].due; }
    // It has begun to receive, and not said what came of it.
    bool receiving(std::uint16_t participant) const { return receives_.contains(participant); }
    // Not into the dead-letter queue.
    bool sent_here(MessageId id) const { return (messages_[id].producer & among_dead) == 0; }
    bool redriven(MessageId id) const { return messages_[id].redriven; }

    // A log says that it is gone.
    void told_gone(MessageId id);

    // Calls that returned having done it, and messages whose fate a death leaves open.
    struct Counts {
        std::uint64_t sent = 0, maybe_sent = 0;
        std::uint64_t acked = 0, maybe_acked = 0;
        std::uint64_t nacked = 0, maybe_nacked = 0, rejected = 0, extended = 0;
        std::uint64_t vanished = 0;  // sent, not acked, and gone when the queue is empty
        std::uint64_t maybe_vanished = 0;
    };
    Counts counts() const;
    // The queue being empty: every message whose send returned has come to a known end.
    // `losses_allowed`: drop-oldest or purge took some.
    void close(bool losses_allowed);

    void breach(const std::string& what) {
        if (breach_.empty()) breach_ = what;
    }
    const std::string& broken() const { return breach_; }

  private:
    struct Message {
        std::uint16_t producer = 0;
        std::uint64_t begun = 0;     // 0: not
        std::uint64_t returned = 0;  // 0: not
        bool refused = false;        // its send returned without having sent it
        bool published = false;      // somebody has seen it
        std::uint64_t position = 0;
        std::uint64_t deliveries = 0;  // bit n: delivered with that count
        std::uint64_t delivered_at = 0;
        std::uint64_t ended_at = 0;  // its ack or reject returned
        bool acked = false;
        bool rejected = false;
        std::uint32_t open_acks = 0;  // begun, not returned
        std::uint32_t open_rejects = 0;
        std::uint32_t open_nacks = 0;
        std::uint32_t open_drops = 0;
        bool dropped = false;
        bool taken_by_hand = false;
        bool dead = false;  // was delivered from the dead-letter queue
        bool redriven = false;
        Nanoseconds due = 0;
    };
    struct Progress {
        std::uint16_t consumer;
        std::uint16_t producer;
        std::uint64_t last;  // begin of the send
    };

    void told_send(Message& message, const Entry& entry);
    void told_receive(std::uint16_t consumer, Message& message, const Entry& entry);
    void check_place(std::uint16_t consumer, const Message& message, const Entry& entry,
                     std::uint64_t begun);
    void told_end(Message& message, const Entry& entry);
    void check_order();
    void breach_of(MessageId id, const char* what) {
        breach("message " + std::to_string(id) + " " + what);
    }

    std::vector<Message> messages_;
    std::vector<Progress> progress_;
    std::map<std::uint16_t, std::uint64_t> receives_;  // begun when, by participant
    bool untold_deliveries_ = false;
    bool rejects_are_moved_ = false;
    std::uint64_t clock_ = 0;
    std::uint64_t nacked_ = 0;
    std::uint64_t extended_ = 0;
    std::string breach_;
};

}  // namespace shmq::step
