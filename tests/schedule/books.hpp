// What became of each message of a run, told by those who sent and received, and by the changes of
// the slots themselves. Each entry checks a promise and answers with the breach, or with nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shmq::schedule {

using MessageId = std::uint32_t;

enum class Gone : std::uint8_t { no, acked, dropped, decided };

class Books {
  public:
    // ---- By senders ----
    MessageId send_begins(std::uint32_t producer, std::uint64_t now);
    void send_returns(MessageId id, std::uint64_t now) { messages_[id].returned = now; }

    // ---- By the slots ----
    std::string published(MessageId id, std::uint64_t position);
    std::string freed(MessageId id, Gone why);
    // Moved to another position; nothing is said of its order any more.
    void relocated(MessageId id, std::uint64_t position) {
        messages_[id].moved |= messages_[id].position != position;
        messages_[id].position = position;
    }
    // A consumer's lease on it began; reads by exclusive consumers leave no such mark.
    void leased(MessageId id) { ++messages_[id].leases; }

    // ---- By receivers ----
    // `each_leased`: every delivery so far was a lease, so both counts must agree.
    std::string delivered(MessageId id, std::uint64_t position, std::uint32_t consumer,
                          std::uint32_t deliveries, bool each_leased);
    std::string ack_returned(MessageId id);
    bool freed_by_ack(MessageId id) const { return messages_[id].gone == Gone::acked; }
    bool is_acked(MessageId id) const { return messages_[id].acked; }
    void rejected(MessageId id) { messages_[id].rejected = true; }

    bool known(MessageId id) const { return id < messages_.size(); }
    bool is_gone(MessageId id) const { return known(id) && messages_[id].gone != Gone::no; }
    std::uint64_t sent() const;
    std::uint64_t acked() const { return acked_; }
    std::uint64_t dropped() const;

    // ---- At the end, the queue being empty ----
    // `losses_allowed`: drop-oldest or purge may have taken messages that nobody saw.
    // `acks_unreported`: who acked may have died before it could say so.
    std::string close(bool losses_allowed, bool acks_unreported) const;

  private:
    struct Message {
        std::uint32_t producer = 0;
        std::uint64_t begun = 0;
        std::uint64_t returned = 0;  // 0: not
        std::uint64_t position = 0;
        std::uint32_t published = 0;
        std::uint32_t deliveries = 0;
        std::uint32_t leases = 0;
        bool acked = false;
        bool rejected = false;
        bool moved = false;
        Gone gone = Gone::no;
    };
    // The last first delivery that a consumer saw of a producer.
    struct Progress {
        std::uint32_t consumer;
        std::uint32_t producer;
        MessageId last;
    };
    std::string check_order() const;

    std::vector<Message> messages_;
    std::vector<Progress> progress_;
    std::uint64_t acked_ = 0;
};

}  // namespace shmq::schedule
