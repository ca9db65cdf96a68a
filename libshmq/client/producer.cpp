#include <shmq/producer.hpp>

#include <algorithm>
#include <cstring>

#include "client/cores.hpp"

namespace shmq {
namespace {

// Should the daemon die between confirming and waking us.
constexpr Nanoseconds confirm_look_again_ns = 100 * nanoseconds_per_millisecond;

}  // namespace

// ---- The core ----------------------------------------------------------------------------------

Result<ProducerCore*> ProducerCore::open(std::shared_ptr<Session> session,
                                         std::string_view name) noexcept {
    try {
        auto attachment = session->attach(name, shm::Role::producer);
        if (!attachment) return attachment.error();
        const bool fence = !shm::register_for_barriers();
        return new ProducerCore(std::move(session), name, std::move(attachment).value(), fence);
    } catch (const std::bad_alloc&) {
        return Error(Condition::system_error, ENOMEM);
    }
}

ProducerCore::ProducerCore(std::shared_ptr<Session> session, std::string_view name,
                           Attachment attachment, bool fence)
    : HandleCore(std::move(session), name, attachment),
      side_(view(), number_, fence),
      waiting_(segment_->header().space, true, segment_->geometry().has(shm::exclusive_consumer),
               static_cast<Nanoseconds>(segment_->geometry().shape.lease_ns)),
      inline_bytes_(segment_->geometry().inline_bytes),
      confirm_waiting_(segment_->header().journal.confirms, false, false, confirm_look_again_ns),
      exact_timestamps_(segment_->geometry().has(shm::exact_timestamps)) {}

void ProducerCore::close() noexcept {
    const auto use = in_use();
    if (!unusable()) detach();
    fork_.close();
    if (loans_ == 0) delete this;
}

template <typename Attempt>
Result<void> ProducerCore::until_sent(Nanoseconds deadline, Attempt attempt) noexcept {
    shm::SendStatus status = attempt();
    ring_if_needed();
    if (status == shm::SendStatus::sent) return {};
    Waited waited = Waited::done;
    const auto wait_on = [&] {
        return status == shm::SendStatus::paused ||
               (status == shm::SendStatus::full && !side_.rejects());
    };
    if (deadline != 0 && wait_on()) {
        const std::uint64_t sent = side_.record().sent.load(shm::memory_order_relaxed);
        waited = waiting_.until(
            deadline, sent,
            [&](bool) {
                status = attempt();
                ring_if_needed();
                return !wait_on();
            },
            [&](unsigned run) { return side_.room_for(run); });
        if (waiting_.slept()) {
            shm::bump(side_.record().sleeps);
            // One wake-up may have stood for two free slots.
            side_.wake_space();
        }
    }
    return not_sent(status, waited);
}

Result<void> ProducerCore::not_sent(shm::SendStatus status, Waited waited) const noexcept {
    const bool timed_out = waited == Waited::timed_out;
    if (waited == Waited::interrupted) return Condition::interrupted;
    switch (status) {
        case shm::SendStatus::paused:
            return paused_error(timed_out ? Condition::timed_out : Condition::paused);
        case shm::SendStatus::full:
            return timed_out ? Condition::timed_out : Condition::full;
        case shm::SendStatus::closed:
            return closed_error();
        case shm::SendStatus::refused:
            return no_room_error();
        default:
            return {};
    }
}

void ProducerCore::ring_if_needed() noexcept {
    if (side_.take_supervisor_needed()) [[unlikely]]
        session_->ring_doorbell();
}

Result<void> ProducerCore::send(std::span<const std::byte> payload, Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) [[unlikely]]
        return why_unusable();
    return send_one(payload, deadline, timestamp(), true);
}

Result<void> ProducerCore::send_one(std::span<const std::byte> payload, Nanoseconds deadline,
                                    std::uint64_t now, bool wake_now) noexcept {
    if (payload.size() <= inline_bytes_) [[likely]] {
        if (payload.size() > max_message()) return too_big(payload.size());
        return until_sent(deadline, [&] {
            return side_.try_send(payload.data(), payload.size(), now, wake_now);
        });
    }
    auto block = allocate(payload.size(), deadline);
    if (!block) return block.error();
    std::memcpy(side_.view().pool.data(*block), payload.data(), payload.size());
    auto sent = until_sent(
        deadline, [&] { return side_.try_send_block(*block, payload.size(), now, wake_now); });
    if (!sent) side_.release(*block);
    return sent;
}

Result<shm::BlockHandle> ProducerCore::allocate(std::size_t size, Nanoseconds deadline) noexcept {
    if (size > max_message()) return too_big(size);
    shm::BlockHandle block;
    auto found = until_sent(deadline, [&] {
        if (side_.closed()) return side_.why_closed();
        block = side_.allocate(size);
        return block.valid() ? shm::SendStatus::sent : shm::SendStatus::full;
    });
    if (!found) return found.error();
    return block;
}

Error ProducerCore::too_big(std::size_t size) const noexcept {
    try {
        return {Condition::too_big, "a message of " + std::to_string(size) +
                                        " bytes exceeds queue " + name_ + "'s max_message of " +
                                        std::to_string(max_message()) +
                                        "; create the queue with a larger --max-message"};
    } catch (...) {
        return Condition::too_big;
    }
}

Error ProducerCore::no_room_error() const noexcept {
    try {
        return {Condition::full, "queue " + name_ +
                                     " is full, and its journal finds no room on disk: see `shmq "
                                     "info`; make room there, raise --spill-limit, or consume"};
    } catch (...) {
        return Condition::full;
    }
}

// ---- Confirms ----------------------------------------------------------------------------------

bool ProducerCore::is_confirmed(std::uint64_t receipt, Durability level) const noexcept {
    const shm::JournalArea& journal = segment_->header().journal;
    const auto& reached = level == Durability::logged ? journal.logged : journal.durable;
    return level == Durability::accepted || receipt == 0 ||
           !shm::after(receipt, reached.load(shm::memory_order_acquire));  // [13]
}

Result<void> ProducerCore::await_confirm(std::uint64_t receipt, Durability level,
                                         Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (level == Durability::accepted) return {};
    if (!segment_->geometry().has(shm::durable_log)) return no_journal_error();
    if (level == Durability::durable && segment_->geometry().has(shm::unsynced_log))
        return not_synced_error();
    const shm::SegmentHeader& header = segment_->header();
    bool confirmed = false;
    bool failed = false;
    const auto is_over = [&] { return side_.closed() && !shm::is_paused(header.items); };
    const Waited waited = confirm_waiting_.until(
        deadline, 0,
        [&](bool) {
            confirmed = is_confirmed(receipt, level);
            failed = is_over() || header.journal.confirms_end.load(shm::memory_order_acquire) != 0;
            return confirmed || failed;
        },
        [](unsigned) { return true; });
    if (confirmed) return {};
    if (failed && is_over()) return closed_error();
    if (failed) return confirms_ended_error();
    return waited == Waited::interrupted ? Condition::interrupted : Condition::timed_out;
}

Result<int> ProducerCore::confirm_descriptor() noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (!segment_->geometry().has(shm::durable_log)) return no_journal_error();
    if (confirm_watch_ == nullptr) confirm_watch_ = ConfirmWatch::start(segment_->header().journal);
    if (confirm_watch_ == nullptr) return Error(Condition::system_error, errno);
    return confirm_watch_->descriptor();
}

Error ProducerCore::no_journal_error() const noexcept {
    try {
        return {
            Condition::invalid_argument,
            "queue " + name_ + " keeps no durable journal; create it with --durability durable"};
    } catch (...) {
        return Condition::invalid_argument;
    }
}

Error ProducerCore::not_synced_error() const noexcept {
    try {
        return {Condition::invalid_argument,
                "queue " + name_ +
                    " promises logged only: its journal is never synced; create it with "
                    "--durability durable"};
    } catch (...) {
        return Condition::invalid_argument;
    }
}

Error ProducerCore::confirms_ended_error() const noexcept {
    try {
        return {Condition::journal_failed,
                "the disk under queue " + name_ +
                    " failed: nothing more is confirmed; what was confirmed before is safe, what "
                    "was sent since lasts as long as the daemon's memory; see `shmq info`"};
    } catch (...) {
        return Condition::journal_failed;
    }
}

// ---- Batches -----------------------------------------------------------------------------------

Result<std::size_t> ProducerCore::send_batch(std::span<const std::span<const std::byte>> payloads,
                                             Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    const std::uint64_t now = timestamp();
    std::size_t sent = 0;
    std::size_t unannounced = 0;
    const auto announce = [&] {
        if (unannounced != 0) side_.wake_receivers(static_cast<std::uint32_t>(unannounced));
        unannounced = 0;
    };
    for (const auto& payload : payloads) {
        if (side_.send_at_once(payload.data(), payload.size(), now)) [[likely]] {
            ++sent;
            ++unannounced;
            continue;
        }
        auto result = send_one(payload, 0, now, false);
        if (!result && deadline != 0 &&
            (result.condition() == Condition::paused ||
             (result.condition() == Condition::full && !side_.rejects()))) {
            announce();  // before we sleep: who makes room may be asleep, too
            result = send_one(payload, deadline, timestamp(), false);
        }
        if (!result) {
            announce();
            if (sent == 0) return result.error();
            return sent;
        }
        ++sent;
        ++unannounced;
    }
    announce();
    return sent;
}

// ---- Loans -------------------------------------------------------------------------------------

Result<Loan> ProducerCore::loan(std::size_t size, Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (segment_->geometry().class_count == 0) {  // no pool: every message fits a slot
        if (size > max_message()) return too_big(size);
        auto* memory = new (std::nothrow) std::byte[size];
        if (memory == nullptr) return Error(Condition::system_error, ENOMEM);
        ++loans_;
        return Loan(this, memory, size, shm::BlockHandle::no_block, 0);
    }
    auto block = allocate(size, deadline);
    if (!block) return block.error();
    ++loans_;
    return Loan(this, side_.view().pool.data(*block), size, block->block, block->generation);
}

void ProducerCore::give_back(const Loan& loan) noexcept {
    const shm::BlockHandle block{loan.block_, loan.generation_};
    if (!block.valid()) {
        delete[] loan.data_;
    } else if (!unusable()) {
        side_.release(block);
    }
}

// A payload that fits a slot is copied into it: that is cheaper than referring to a block.
Result<void> ProducerCore::send(Loan& loan, Nanoseconds deadline) noexcept {
    const auto use = in_use();
    if (unusable()) return why_unusable();
    if (loan.core_ != this) {
        return Error(Condition::invalid_argument, "the loan is spent, or another producer's");
    }
    const shm::BlockHandle block{loan.block_, loan.generation_};
    const std::uint64_t now = timestamp();
    const bool fits = loan.size_ <= inline_bytes_;
    auto sent = until_sent(deadline, [&] {
        return fits ? side_.try_send(loan.data_, loan.size_, now)
                    : side_.try_send_block(block, loan.size_, now);
    });
    if (!sent) return sent;
    if (fits) give_back(loan);
    loan.core_ = nullptr;
    --loans_;
    return {};
}

void ProducerCore::drop(Loan& loan) noexcept {
    const auto use = in_use();
    give_back(loan);
    if (--loans_ == 0 && closed()) delete this;
}

Loan::Loan(Loan&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      data_(other.data_),
      size_(other.size_),
      block_(other.block_),
      generation_(other.generation_) {}

Loan& Loan::operator=(Loan&& other) noexcept {
    if (this != &other) {
        if (core_ != nullptr) core_->drop(*this);
        core_ = std::exchange(other.core_, nullptr);
        data_ = other.data_;
        size_ = other.size_;
        block_ = other.block_;
        generation_ = other.generation_;
    }
    return *this;
}

Loan::~Loan() {
    if (core_ != nullptr) core_->drop(*this);
}

void Loan::shrink(std::size_t size) noexcept {
    if (size < size_) size_ = size;
}

// ---- The handle --------------------------------------------------------------------------------

void Producer::Drop::operator()(ProducerCore* core) const noexcept {
    core->close();
}

Producer::Producer(Producer&& other) noexcept = default;
Producer& Producer::operator=(Producer&& other) noexcept = default;
Producer::~Producer() = default;

bool detail::send_at_once(ProducerCore* core, const std::byte* data, std::size_t size) noexcept {
    return core != nullptr && core->send_at_once(data, size);
}

Result<void> Producer::send_patiently(std::span<const std::byte> payload) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(payload, no_deadline);
}

Result<void> Producer::send_until(std::span<const std::byte> payload, Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(payload, to_deadline(deadline));
}

Result<void> Producer::send_now(std::span<const std::byte> payload) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(payload, 0);
}

Result<Loan> Producer::loan(std::size_t size) noexcept {
    if (!core_) return Condition::closed;
    return core_->loan(size, no_deadline);
}

Result<Loan> Producer::loan_until(std::size_t size, Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->loan(size, to_deadline(deadline));
}

Result<Loan> Producer::try_loan(std::size_t size) noexcept {
    if (!core_) return Condition::closed;
    return core_->loan(size, 0);
}

Result<void> Producer::send(Loan& loan) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(loan, no_deadline);
}

Result<void> Producer::send_until(Loan& loan, Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(loan, to_deadline(deadline));
}

Result<void> Producer::try_send(Loan& loan) noexcept {
    if (!core_) return Condition::closed;
    return core_->send(loan, 0);
}

Result<std::size_t> Producer::send_batch(
    std::span<const std::span<const std::byte>> payloads) noexcept {
    if (!core_) return Condition::closed;
    return core_->send_batch(payloads, no_deadline);
}

Result<std::size_t> Producer::send_batch_until(std::span<const std::span<const std::byte>> payloads,
                                               Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->send_batch(payloads, to_deadline(deadline));
}

Result<std::size_t> Producer::try_send_batch(
    std::span<const std::span<const std::byte>> payloads) noexcept {
    if (!core_) return Condition::closed;
    return core_->send_batch(payloads, 0);
}

std::uint64_t Producer::last_receipt() const noexcept {
    return core_ ? core_->last_receipt() : 0;
}

bool Producer::is_confirmed(std::uint64_t receipt, Durability level) const noexcept {
    return core_ && core_->is_confirmed(receipt, level);
}

Result<void> Producer::await_confirm(Durability level) noexcept {
    if (!core_) return Condition::closed;
    return core_->await_confirm(core_->last_receipt(), level, no_deadline);
}

Result<void> Producer::await_confirm_until(Durability level, Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->await_confirm(core_->last_receipt(), level, to_deadline(deadline));
}

Result<void> Producer::await_confirm_until(std::uint64_t receipt, Durability level,
                                           Deadline deadline) noexcept {
    if (!core_) return Condition::closed;
    return core_->await_confirm(receipt, level, to_deadline(deadline));
}

Result<int> Producer::confirm_descriptor() noexcept {
    if (!core_) return Condition::closed;
    return core_->confirm_descriptor();
}

std::uint64_t Producer::max_message() const noexcept {
    return core_ ? core_->max_message() : 0;
}

void Producer::stop_waiting() noexcept {
    if (core_) core_->stop_waiting();
}

}  // namespace shmq
