#include "schedule/books.hpp"

#include <algorithm>

namespace shmq::schedule {
namespace {

std::string about(MessageId id, const char* what) {
    return "message " + std::to_string(id) + " " + what;
}

}  // namespace

MessageId Books::send_begins(std::uint32_t producer, std::uint64_t now) {
    Message message;
    message.producer = producer;
    message.begun = now;
    messages_.push_back(message);
    return static_cast<MessageId>(messages_.size() - 1);
}

std::string Books::published(MessageId id, std::uint64_t position) {
    if (!known(id)) return about(id, "was never sent, but published");
    Message& message = messages_[id];
    if (message.published++ != 0) return about(id, "was published twice");
    message.position = position;
    return {};
}

std::string Books::freed(MessageId id, Gone why) {
    if (!known(id)) return about(id, "was never sent, but freed");
    Message& message = messages_[id];
    if (message.gone != Gone::no) return about(id, "was freed twice");
    message.gone = why;
    return {};
}

std::string Books::delivered(MessageId id, std::uint64_t position, std::uint32_t consumer,
                             std::uint32_t deliveries, bool each_leased) {
    if (!known(id)) return about(id, "was never sent, but delivered");
    Message& message = messages_[id];
    if (message.published == 0) return about(id, "was delivered before it was published");
    if (message.position != position) return about(id, "was delivered under another's sequence");
    if (message.acked) return about(id, "was delivered after its ack had returned");
    if (deliveries == 1 && message.deliveries != 0) {
        return about(id, "was delivered twice without the redelivered mark");
    }
    if (deliveries <= message.deliveries) {
        return about(id, "was delivered with a count of deliveries that does not grow");
    }
    if (each_leased && deliveries != message.leases) {
        return about(id, "was delivered with a count of deliveries that is not that of its leases");
    }
    message.deliveries = deliveries;
    if (deliveries > 1) return {};
    for (Progress& progress : progress_) {
        if (progress.consumer != consumer || progress.producer != message.producer) continue;
        if (progress.last > id) return about(id, "was first delivered after a later one");
        progress.last = id;
        return {};
    }
    progress_.push_back({consumer, message.producer, id});
    return {};
}

std::string Books::ack_returned(MessageId id) {
    Message& message = messages_[id];
    if (message.acked) return about(id, "was acked twice");
    if (message.gone != Gone::acked) return about(id, "was not freed by its ack");
    message.acked = true;
    ++acked_;
    return {};
}

std::uint64_t Books::sent() const {
    return static_cast<std::uint64_t>(
        std::count_if(messages_.begin(), messages_.end(),
                      [](const Message& message) { return message.returned != 0; }));
}

std::uint64_t Books::dropped() const {
    return static_cast<std::uint64_t>(
        std::count_if(messages_.begin(), messages_.end(),
                      [](const Message& message) { return message.gone == Gone::dropped; }));
}

std::string Books::close(bool losses_allowed, bool acks_unreported) const {
    for (MessageId id = 0; id < messages_.size(); ++id) {
        const Message& message = messages_[id];
        if (message.returned != 0 && message.published == 0)
            return about(id, "was never published");
        if (message.published == 0) continue;
        if (message.gone == Gone::no) return about(id, "was lost");
        if (message.gone == Gone::acked && !message.acked && !acks_unreported) {
            return about(id, "was freed by a consumer that never acked it");
        }
        if (message.gone == Gone::dropped && !losses_allowed) return about(id, "was dropped");
        if (message.gone == Gone::decided && !losses_allowed && !message.rejected) {
            return about(id, "was freed by the supervisor, though nobody had rejected it");
        }
    }
    return check_order();
}

// A send that returned before another began has the earlier position.
std::string Books::check_order() const {
    std::vector<MessageId> order;
    for (MessageId id = 0; id < messages_.size(); ++id) {
        if (messages_[id].published != 0 && !messages_[id].moved) order.push_back(id);
    }
    std::sort(order.begin(), order.end(), [this](MessageId a, MessageId b) {
        return messages_[a].position < messages_[b].position;
    });
    std::uint64_t latest_begin = 0;
    for (const MessageId id : order) {
        const Message& message = messages_[id];
        if (message.returned != 0 && message.returned < latest_begin) {
            return about(id, "lies behind one whose send began after it had returned");
        }
        latest_begin = std::max(latest_begin, message.begun);
    }
    return {};
}

}  // namespace shmq::schedule
