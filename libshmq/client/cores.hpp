// What stands behind Producer, Consumer, Loan and Message: a side of the queue (shm/queue.hpp), the
// mapping it works on, and the session that keeps it attached.
//
// A core lives as long as its handle and every loan or message of it, counted by plain counters:
// all of them belong to one thread at a time. When the handle goes, the core gives back what it
// holds and detaches; the mapping stays until the last loan or message is gone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <shmq/consumer.hpp>
#include <shmq/error.hpp>
#include <shmq/message.hpp>
#include <shmq/producer.hpp>

#include "client/confirm_watch.hpp"
#include "client/fork_guard.hpp"
#include "client/many_waits.hpp"
#include "client/one_thread.hpp"
#include "client/samples.hpp"
#include "client/session.hpp"
#include "client/stream_clock.hpp"
#include "client/waiting.hpp"
#include "shm/queue.hpp"
#include "shm/segment.hpp"

namespace shmq {

struct ConsumerOptions;
class WaitSetCore;

// The common half of both cores.
class HandleCore {
  public:
    HandleCore(const HandleCore&) = delete;
    HandleCore& operator=(const HandleCore&) = delete;

  protected:
    HandleCore(std::shared_ptr<Session> session, std::string_view name, Attachment& attachment);
    ~HandleCore();

    // Held through each call but stop_waiting: no other thread is in one.
    OneThread::Use in_use() const noexcept { return {one_thread_, name_, fork_}; }
    // What keeps a call from going on: a child of fork, or a handle that was closed.
    bool unusable() const noexcept { return !fork_.usable(); }
    bool closed() const noexcept { return fork_.closed(); }
    Condition why_unusable() const noexcept {
        return fork_.forked() ? Condition::forked : Condition::closed;
    }
    // Why a queue answers nobody any more.
    Error closed_error() const noexcept;
    // `condition`: paused, or timed_out where the deadline came while it was.
    Error paused_error(Condition condition) const noexcept;
    void detach() noexcept;
    shm::QueueView view() const noexcept;
    // A time that the daemon will compare with its own clock.
    Nanoseconds queue_now() const noexcept { return monotonic_now() + clock_ahead_; }

    std::shared_ptr<Session> session_;
    std::string name_;
    std::unique_ptr<shm::Segment> segment_;
    std::uint16_t number_;
    Nanoseconds clock_ahead_;
    ForkGuard fork_;

  private:
    [[no_unique_address]] OneThread one_thread_;
};

class ProducerCore final : public HandleCore {
  public:
    ~ProducerCore() {
        if (fork_.forked()) static_cast<void>(confirm_watch_.release());
    }
    static Result<ProducerCore*> open(std::shared_ptr<Session> session,
                                      std::string_view name) noexcept;
    void close() noexcept;  // by the handle

    // What nearly every send is: small, one of a stream, and there is room. False: nothing
    // happened, call `send`.
    [[gnu::always_inline]] bool send_at_once(const std::byte* data, std::size_t size) noexcept {
        const auto use = in_use();
        if (unusable()) [[unlikely]]
            return false;
        const std::uint64_t now = clock_.now_at_once();
        if (now == 0 || !side_.send_at_once(data, size, now)) [[unlikely]]
            return false;
        if (side_.receivers_wait()) [[unlikely]]
            side_.wake_receivers(1);
        return true;
    }
    // deadline 0: never sleep.
    Result<void> send(std::span<const std::byte> payload, Nanoseconds deadline) noexcept;
    Result<std::size_t> send_batch(std::span<const std::span<const std::byte>> payloads,
                                   Nanoseconds deadline) noexcept;
    Result<Loan> loan(std::size_t size, Nanoseconds deadline) noexcept;
    Result<void> send(Loan& loan, Nanoseconds deadline) noexcept;
    void drop(Loan& loan) noexcept;

    std::uint64_t max_message() const noexcept { return segment_->geometry().shape.max_message; }
    void stop_waiting() noexcept {
        if (fork_.forked()) return;
        waiting_.stop();
        confirm_waiting_.stop();
    }

    std::uint64_t last_receipt() const noexcept { return side_.ingress_position(); }
    bool is_confirmed(std::uint64_t receipt, Durability level) const noexcept;
    Result<void> await_confirm(std::uint64_t receipt, Durability level,
                               Nanoseconds deadline) noexcept;
    Result<int> confirm_descriptor() noexcept;

  private:
    ProducerCore(std::shared_ptr<Session> session, std::string_view name, Attachment attachment,
                 bool fence);

    std::uint64_t timestamp() noexcept {
        if (exact_timestamps_) [[unlikely]]
            return static_cast<std::uint64_t>(monotonic_now());
        return clock_.now();
    }
    Result<void> send_one(std::span<const std::byte> payload, Nanoseconds deadline,
                          std::uint64_t now, bool wake_now) noexcept;
    Result<shm::BlockHandle> allocate(std::size_t size, Nanoseconds deadline) noexcept;
    void give_back(const Loan& loan) noexcept;
    // Calls `attempt() -> SendStatus` until it is not full, as the overflow policy and the deadline
    // allow.
    template <typename Attempt>
    Result<void> until_sent(Nanoseconds deadline, Attempt attempt) noexcept;
    void ring_if_needed() noexcept;
    Error too_big(std::size_t size) const noexcept;
    Error no_room_error() const noexcept;
    Result<void> not_sent(shm::SendStatus status, Waited waited) const noexcept;
    Error confirms_ended_error() const noexcept;
    Error no_journal_error() const noexcept;
    Error not_synced_error() const noexcept;

    shm::SendSide side_;
    Waiting waiting_;
    StreamClock clock_;
    std::uint32_t inline_bytes_;
    std::uint64_t loans_ = 0;
    Waiting confirm_waiting_;
    std::unique_ptr<ConfirmWatch> confirm_watch_;  // once somebody has asked for its descriptor
    bool exact_timestamps_;
};

class ConsumerCore final : public HandleCore {
  public:
    static Result<ConsumerCore*> open(std::shared_ptr<Session> session, std::string_view name,
                                      const ConsumerOptions& options) noexcept;
    void close() noexcept;  // by the handle

    // What nearly every receive is; `slowly(core)` where it is not.
    template <typename Slowly>
    [[gnu::always_inline]] Result<Message> receive_at_once(Slowly slowly) noexcept {
        const auto use = in_use();
        shm::Delivery delivery;
        // A sampled one is left to others as well: nothing is kept across a call in here.
        if (unusable() || Samples::wants(side_.next_position()) || !side_.receive_at_once(delivery))
            [[unlikely]] {
            return slowly(*this);
        }
        return Result<Message>(std::in_place, Message::Made(), this, delivery);
    }
    Result<Message> receive(Nanoseconds deadline) noexcept;
    Result<std::optional<Message>> try_receive() noexcept;
    Result<std::size_t> receive_batch(std::vector<Message>& into, std::size_t most,
                                      Nanoseconds deadline) noexcept;
    std::size_t ack(std::span<Message> messages) noexcept;
    Result<std::size_t> ack_through(Message& last) noexcept;

    // What nearly every ack is. False: nothing happened, call `ack`. Else after_ack must follow if
    // acks_need_more.
    [[gnu::always_inline]] bool ack_at_once(Message& message) noexcept {
        const auto use = in_use();
        if (unusable() || message.block_ != shm::BlockHandle::no_block) [[unlikely]]
            return false;
        auto& slot = shm::slot_of_payload(message.data_);
        if (!side_.ack_at_once(slot, {message.sequence_, {message.word_}})) [[unlikely]]
            return false;
        message.core_ = nullptr;
        return true;
    }
    bool acks_need_more(std::uint64_t sequence) const noexcept {
        return side_.acks_need_more(sequence);
    }
    // True, so that who acks at once can leave it to answer.
    [[gnu::noinline]] bool after_ack(std::uint64_t sequence) noexcept;
    Result<void> ack(Message& message) noexcept;
    enum class Verb { nack, reject };
    Result<void> end(Message& message, Verb verb, Nanoseconds due = 0) noexcept;
    Result<void> nack_later(Message& message, Nanoseconds delay) noexcept;
    std::optional<DeadLetter> history(const Message& message) noexcept;
    void handling(const Message& message) noexcept;
    Result<void> extend(Message& message, Nanoseconds lease) noexcept;
    bool still_held(const Message& message) const noexcept;
    void drop(Message& message) noexcept;

    // Of those that are sampled.
    // By value: a Delivery whose address is taken is written to memory each time.
    [[gnu::noinline]] void received(std::uint64_t sequence, std::uint64_t sent_at) noexcept {
        samples_.received(segment_->header(), sequence, sent_at, queue_now());
    }
    [[gnu::noinline]] void acked(std::uint64_t sequence) noexcept {
        samples_.acked(segment_->header(), sequence, queue_now());
    }

    bool more_to_come() const noexcept { return !fork_.forked() && side_.more_to_come(); }
    std::size_t in_flight() const noexcept { return side_.in_flight(); }
    std::size_t in_flight_limit() const noexcept {
        return fork_.forked() ? 0 : side_.in_flight_limit();
    }
    void stop_waiting() noexcept {
        if (!fork_.forked()) waiting_.stop();
    }

    // ---- For a WaitSet ----
    WaitPlace place() noexcept;
    void look(WaitPlace& place, bool thorough) noexcept {
        const auto use = in_use();
        place.status = side_.look(thorough);
        ring_if_needed();
    }
    void slept() noexcept { shm::bump(side_.record().sleeps); }
    bool usable_in_set() const noexcept { return !unusable(); }
    // Where it is, and its handle, which may move. Null: in none.
    void join(WaitSetCore* set, Consumer* handle) noexcept {
        set_ = set;
        handle_ = handle;
    }
    WaitSetCore* set() const noexcept { return set_; }
    Consumer* handle() const noexcept { return handle_; }
    void moved_to(Consumer* handle) noexcept { handle_ = handle; }

  private:
    ConsumerCore(std::shared_ptr<Session> session, std::string_view name, Attachment attachment,
                 bool fence);

    static shm::Delivery delivery_of(const Message& message) noexcept;
    Result<void> wait_for(shm::Delivery& delivery, Nanoseconds deadline) noexcept;
    Error why_not(shm::ReceiveStatus status) const noexcept;
    Result<void> end_unusable(Message& message) noexcept;
    // Messages whose handle is alive.
    std::int64_t handles() const noexcept {
        return static_cast<std::int64_t>(side_.in_flight()) + strays_;
    }
    template <typename End>
    auto ending(Message& message, End end) noexcept;
    void ring_if_needed() noexcept;

    shm::ReceiveSide side_;
    Waiting waiting_;
    Samples samples_;
    // Handles alive, less the messages in flight: 0, but for handles whose message went otherwise.
    std::int64_t strays_ = 0;
    WaitSetCore* set_ = nullptr;
    Consumer* handle_ = nullptr;
};

inline Message::Message(Made /*by*/, ConsumerCore* core, const shm::Delivery& delivery) noexcept
    : core_(core),
      data_(delivery.data),
      sequence_(delivery.lease.sequence),
      timestamp_(delivery.timestamp),
      word_(delivery.lease.word.raw),
      size_(delivery.length),
      deliveries_(static_cast<std::uint16_t>(delivery.deliveries)),
      failures_(static_cast<std::uint16_t>(delivery.failures)),
      block_(delivery.block.block),
      generation_(delivery.block.generation) {
    if (Samples::wants(sequence_)) [[unlikely]]
        core->received(sequence_, timestamp_);
}

// Deadlines of the public API are on the steady clock, which is ours.
inline Nanoseconds to_deadline(std::chrono::steady_clock::time_point time) noexcept {
    return std::max<Nanoseconds>(
        1, std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

}  // namespace shmq
