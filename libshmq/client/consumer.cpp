#include <shmq/client.hpp>
#include <shmq/consumer.hpp>

#include "client/cores.hpp"
#include "client/wait_set_core.hpp"

namespace shmq {

// ---- The core ----------------------------------------------------------------------------------

Result<ConsumerCore*> ConsumerCore::open(std::shared_ptr<Session> session, std::string_view name,
                                         const ConsumerOptions& options) noexcept {
    try {
        auto attachment = session->attach(name, shm::Role::consumer, options.in_flight);
        if (!attachment) return attachment.error();
        const bool fence = !shm::register_for_barriers();
        return new ConsumerCore(std::move(session), name, std::move(attachment).value(), fence);
    } catch (const std::bad_alloc&) {
        return Error(Condition::system_error, ENOMEM);
    }
}

ConsumerCore::ConsumerCore(std::shared_ptr<Session> session, std::string_view name,
                           Attachment attachment, bool fence)
    : HandleCore(std::move(session), name, attachment),
      side_(view(), number_, attachment.in_flight, fence),
      waiting_(segment_->header().items, false, segment_->geometry().has(shm::exclusive_producer),
               static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns)) {}

void ConsumerCore::close() noexcept {
    const auto use = in_use();
    if (set_ != nullptr) set_->forget(*this);
    if (!unusable()) {
        const std::int64_t before = side_.in_flight();
        side_.give_everything_back();
        strays_ += before - side_.in_flight();
        detach();
    }
    fork_.close();
    if (handles() == 0) delete this;
}

// Ends a message's handle, and what `end` does with the message. The last handle of a closed
// consumer takes the core with it.
template <typename End>
auto ConsumerCore::ending(Message& message, End end) noexcept {
    const std::int64_t before = side_.in_flight();
    const auto result = end();
    message.core_ = nullptr;
    strays_ += before - side_.in_flight() - 1;
    if (closed() && handles() == 0) delete this;
    return result;
}

shm::Delivery ConsumerCore::delivery_of(const Message& message) noexcept {
    shm::Delivery delivery;
    delivery.lease = {message.sequence_, {message.word_}};
    delivery.block = {message.block_, message.generation_};
    return delivery;
}

Error ConsumerCore::why_not(shm::ReceiveStatus status) const noexcept {
    if (status == shm::ReceiveStatus::limit) return Condition::in_flight_limit;
    if (status == shm::ReceiveStatus::paused) return paused_error(Condition::paused);
    return closed_error();
}

// Receives into `delivery`; sleeps at most until the deadline.
Result<void> ConsumerCore::wait_for(shm::Delivery& delivery, Nanoseconds deadline) noexcept {
    auto status = side_.try_receive(delivery);
    ring_if_needed();
    if (status == shm::ReceiveStatus::received) return {};
    const auto wait_on = [&] {
        return status == shm::ReceiveStatus::empty || status == shm::ReceiveStatus::paused;
    };
    if (wait_on()) {
        const std::uint64_t delivered = side_.record().delivered.load(shm::memory_order_relaxed);
        const Waited waited = waiting_.until(
            deadline, delivered,
            [&](bool thorough) {
                status = side_.try_receive(delivery, thorough);
                ring_if_needed();
                return !wait_on();
            },
            [&](unsigned run) { return side_.ready_ahead(run); });
        if (waiting_.slept()) {
            shm::bump(side_.record().sleeps);
            side_.pass_wake_on();
        }
        if (waited == Waited::timed_out) {
            if (status == shm::ReceiveStatus::paused) return paused_error(Condition::timed_out);
            return Condition::timed_out;
        }
        if (waited == Waited::interrupted) return Condition::interrupted;
    }
    if (status == shm::ReceiveStatus::received) return {};
    return why_not(status);
}

Result<Message> ConsumerCore::receive(Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    shm::Delivery delivery;
    const std::uint64_t delivered = side_.record().delivered.load(shm::memory_order_relaxed);
    // In a dialogue the next slot's first line had better not go alone.
    const bool ask_ahead = side_.slots_are_lines();
    if (waiting_.at_once(
            delivered, [&] { return side_.receive_at_once(delivery, ask_ahead); },
            [&] { return side_.at_once_possible(); }))
        return Result<Message>(std::in_place, Message::Made(), this, delivery);
    auto received = wait_for(delivery, deadline);
    if (!received) return received.error();
    return Result<Message>(std::in_place, Message::Made(), this, delivery);
}

Result<std::optional<Message>> ConsumerCore::try_receive() noexcept {
    const auto use = in_use();
    if (unusable()) [[unlikely]]
        return why_unusable();
    shm::Delivery delivery;
    const auto status = side_.try_receive(delivery);
    if (status == shm::ReceiveStatus::received) [[likely]]
        return Result<std::optional<Message>>(std::in_place, std::in_place, Message::Made(), this,
                                              delivery);
    ring_if_needed();
    if (status == shm::ReceiveStatus::empty) return std::optional<Message>();
    return why_not(status);
}

Result<std::size_t> ConsumerCore::receive_batch(std::vector<Message>& into, std::size_t most,
                                                Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (most == 0) return std::size_t{0};
    shm::Delivery delivery;
    try {
        if (into.capacity() - into.size() < most) into.reserve(into.size() + most);
    } catch (...) {
        return Error(Condition::system_error, ENOMEM);
    }
    if (deadline != 0) {
        auto first = wait_for(delivery, deadline);
        if (!first) return first.error();
    } else {
        const auto status = side_.try_receive(delivery);
        if (status == shm::ReceiveStatus::empty) return std::size_t{0};
        if (status != shm::ReceiveStatus::received) return why_not(status);
    }
    std::size_t received = 0;
    do {
        into.emplace_back(Message::Made(), this, delivery);
        ++received;
    } while (received < most && (side_.receive_at_once(delivery) ||
                                 side_.try_receive(delivery) == shm::ReceiveStatus::received));
    ring_if_needed();
    return received;
}

std::size_t ConsumerCore::ack(std::span<Message> messages) noexcept {
    const auto use = in_use();
    std::size_t acked = 0;
    for (Message& message : messages) {
        if (message.core_ != this) continue;
        const std::uint64_t sequence = message.sequence_;
        if (ack_at_once(message)) [[likely]] {
            ++acked;
            if (Samples::wants(sequence)) this->acked(sequence);
            continue;
        }
        const auto status = ending(message, [&] {
            return unusable() ? shm::HoldStatus::stale : side_.ack(delivery_of(message), false);
        });
        if (status != shm::HoldStatus::done) continue;
        ++acked;
        if (Samples::wants(sequence)) this->acked(sequence);
    }
    if (acked == 0) return 0;
    side_.after_acks();
    ring_if_needed();
    return acked;
}

Result<std::size_t> ConsumerCore::ack_through(Message& last) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (!side_.exclusive() || last.core_ != this) {
        return Error(Condition::invalid_argument,
                     side_.exclusive() ? "the message has ended, or is another consumer's"
                                       : "cumulative ack needs an exclusive consumer");
    }
    const std::int64_t before = side_.in_flight();
    const std::size_t acked = side_.ack_through(last.sequence_);
    strays_ += before - side_.in_flight();
    ring_if_needed();
    return ending(last, [&] {
        side_.let_go(delivery_of(last).lease);
        return acked;
    });
}

Result<void> ConsumerCore::ack(Message& message) noexcept {
    const auto use = in_use();
    if (unusable()) return end_unusable(message);
    const auto status = ending(message, [&] {
        const auto ended = side_.ack(delivery_of(message));
        ring_if_needed();
        if (ended == shm::HoldStatus::done && Samples::wants(message.sequence_))
            acked(message.sequence_);
        return ended;
    });
    if (status == shm::HoldStatus::stale) return Condition::stale;
    return {};
}

bool ConsumerCore::after_ack(std::uint64_t sequence) noexcept {
    const auto use = in_use();
    if (Samples::wants(sequence)) acked(sequence);
    side_.after_acks();
    ring_if_needed();
    return true;
}

// A closed consumer's messages went back when it closed; a child of fork has none.
Result<void> ConsumerCore::end_unusable(Message& message) noexcept {
    const Condition why = ending(message, [&] { return why_unusable(); });
    return why == Condition::closed ? Condition::stale : why;
}

Result<void> ConsumerCore::end(Message& message, Verb verb, Nanoseconds due) noexcept {
    const auto use = in_use();
    if (unusable()) [[unlikely]]
        return end_unusable(message);
    const auto status = ending(message, [&] {
        auto delivery = delivery_of(message);
        const auto ended = verb == Verb::nack
                               ? side_.nack(delivery, static_cast<std::uint64_t>(due))
                               : side_.reject(delivery);
        ring_if_needed();
        return ended;
    });
    if (status == shm::HoldStatus::stale) [[unlikely]]
        return Condition::stale;
    return {};
}

Result<void> ConsumerCore::extend(Message& message, Nanoseconds lease) noexcept {
    const auto use = in_use();
    if (fork_.forked()) return Condition::forked;
    if (unusable()) return Condition::stale;
    auto delivery = delivery_of(message);
    const std::uint64_t deadline =
        lease == 0 ? 0 : static_cast<std::uint64_t>(deadline_after(queue_now(), lease));
    if (side_.extend(delivery, deadline) == shm::HoldStatus::stale) return Condition::stale;
    message.word_ = delivery.lease.word.raw;
    return {};
}

bool ConsumerCore::still_held(const Message& message) const noexcept {
    const auto use = in_use();
    return !unusable() && side_.held(delivery_of(message));
}

// The message was dropped without a word: it goes back, unless it went already.
void ConsumerCore::drop(Message& message) noexcept {
    const auto use = in_use();
    ending(message, [&] {
        if (unusable()) return shm::HoldStatus::stale;
        auto delivery = delivery_of(message);
        const auto status = side_.nack(delivery);
        ring_if_needed();
        return status;
    });
}

WaitPlace ConsumerCore::place() noexcept {
    WaitPlace place;
    place.side = &side_;
    place.plain_wakers = segment_->geometry().has(shm::exclusive_producer);
    place.look_again = static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns);
    return place;
}

void ConsumerCore::ring_if_needed() noexcept {
    if (side_.take_supervisor_needed()) [[unlikely]]
        session_->ring_doorbell();
}

// ---- Messages ----------------------------------------------------------------------------------

Message& Message::operator=(Message&& other) noexcept {
    if (this != &other) {
        if (core_ != nullptr) drop();
        new (this) Message(std::move(other));
    }
    return *this;
}

void Message::drop() noexcept {
    core_->drop(*this);
}

bool detail::ack_at_once(Message& message) noexcept {
    ConsumerCore* core = message.core_;
    const std::uint64_t sequence = message.sequence_;
    if (core == nullptr || !core->ack_at_once(message)) [[unlikely]]
        return false;
    if (core->acks_need_more(sequence)) [[unlikely]]
        return core->after_ack(sequence);
    return true;
}

Result<void> Message::ack_otherwise() noexcept {
    if (core_ == nullptr) return Condition::stale;
    return core_->ack(*this);
}

Result<void> Message::nack() noexcept {
    if (core_ == nullptr) return Condition::stale;
    return core_->end(*this, ConsumerCore::Verb::nack);
}

Result<void> Message::reject() noexcept {
    if (core_ == nullptr) return Condition::stale;
    return core_->end(*this, ConsumerCore::Verb::reject);
}

Result<void> Message::extend() noexcept {
    if (core_ == nullptr) return Condition::stale;
    return core_->extend(*this, 0);
}

Result<void> Message::extend(std::chrono::nanoseconds lease) noexcept {
    if (core_ == nullptr) return Condition::stale;
    if (lease.count() <= 0) return Error(Condition::invalid_argument, "a lease must be positive");
    return core_->extend(*this, lease.count());
}

bool Message::still_held() const noexcept {
    return core_ != nullptr && core_->still_held(*this);
}

// ---- The handle --------------------------------------------------------------------------------

void Consumer::Drop::operator()(ConsumerCore* core) const noexcept {
    core->close();
}

Consumer::Consumer(Consumer&& other) noexcept : core_(std::move(other.core_)) {
    if (core_) core_->moved_to(this);
}
Consumer& Consumer::operator=(Consumer&& other) noexcept {
    core_ = std::move(other.core_);
    if (core_) core_->moved_to(this);
    return *this;
}
Consumer::~Consumer() = default;

Result<Message> Consumer::receive() noexcept {
    if (!core_) [[unlikely]]
        return Condition::closed;
    return core_->receive_at_once([](ConsumerCore& core) { return core.receive(no_deadline); });
}

Result<Message> Consumer::receive_until(Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->receive_at_once(
        [deadline](ConsumerCore& core) { return core.receive(to_deadline(deadline)); });
}

Result<std::optional<Message>> Consumer::try_receive() noexcept {
    if (!core_) return Condition::closed;
    return core_->try_receive();
}

Result<std::size_t> Consumer::receive_batch(std::vector<Message>& into, std::size_t most) noexcept {
    if (!core_) return Condition::closed;
    return core_->receive_batch(into, most, no_deadline);
}

Result<std::size_t> Consumer::receive_batch_until(std::vector<Message>& into, std::size_t most,
                                                  Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->receive_batch(into, most, to_deadline(deadline));
}

Result<std::size_t> Consumer::try_receive_batch(std::vector<Message>& into,
                                                std::size_t most) noexcept {
    if (!core_) return Condition::closed;
    return core_->receive_batch(into, most, 0);
}

std::size_t Consumer::ack(std::span<Message> messages) noexcept {
    return core_ ? core_->ack(messages) : 0;
}

Result<std::size_t> Consumer::ack_through(Message& last) noexcept {
    if (!core_) return Condition::closed;
    return core_->ack_through(last);
}

bool Consumer::more_to_come() const noexcept {
    return core_ && core_->more_to_come();
}

std::size_t Consumer::in_flight() const noexcept {
    return core_ ? core_->in_flight() : 0;
}

std::size_t Consumer::in_flight_limit() const noexcept {
    return core_ ? core_->in_flight_limit() : 0;
}

void Consumer::stop_waiting() noexcept {
    if (core_) core_->stop_waiting();
}

}  // namespace shmq
