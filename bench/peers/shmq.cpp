// shmq, by its public interface; its guarantees are always on: every message is acked.
//
// Where nobody sleeps, and messages come one by one, it calls try_receive until one is there; else
// receive.
//
//   exclusive   one producer and one consumer hold their roles alone; else both are shared
//   batch       send_batch, receive_batch and one ack for all of them, 64 at a time
//   bulk        sent and received one by one, 32 acked by one call
//   loan        built in the queue's memory and read there; nothing is copied but what `touch` says
//   durable     the confirm of each message is waited for, so many messages behind
#include <shmq/client.hpp>

#include <algorithm>
#include <vector>

#include "peers/works.hpp"
#include "support/need.hpp"

namespace shmq::bench {
namespace {

constexpr std::size_t batch_most = 64;
constexpr std::size_t batch_pool_bytes = 256 << 20;
constexpr std::size_t slot_header_bytes = 32;
// In a stream whoever looks at each slot as it is written slows its writer; receive knows better.
constexpr double polled_rate_most = 1e6;

struct Shmq {
    explicit Shmq(const Case& of) : one(of), client(connect(of)) {
        for (unsigned lane = 0; lane < lanes(); ++lane)
            need_done(client.create(own_name("queue", lane), options()));
        for (unsigned lane = 0; lane < lanes(); ++lane)
            queues[lane] = own_name("queue", lane);
    }
    ~Shmq() {
        for (unsigned lane = 0; lane < lanes(); ++lane)
            (void)client.remove(queues[lane], true);
    }
    Shmq(const Shmq&) = delete;
    Shmq& operator=(const Shmq&) = delete;

    static Client connect(const Case& one) { return need(Client::connect({.socket = one.server})); }
    unsigned lanes() const { return one.work == "latency" || one.work == "wake" ? 2 : 1; }

    QueueOptions options() const {
        QueueOptions made;
        made.max_message = std::max<std::uint64_t>(one.size, 1024);
        made.exclusive_producer = made.exclusive_consumer = one.is("exclusive");
        const std::size_t slot = std::bit_ceil(one.size + slot_header_bytes);
        made.slot_size =
            static_cast<std::uint32_t>(slot > 512 ? 64 : std::max<std::size_t>(slot, 64));
        // As many slots as pay for messages of this size: a ring that outgrows the caches costs.
        made.capacity = one.size <= 1024 ? 4096 : 64;
        // And as much memory: what the producer wrote last is still in the caches. A batch wants
        // all its messages at once, and the next one before they are read.
        const std::size_t messages = one.is("batch") ? std::clamp(batch_pool_bytes / one.size,
                                                                  std::size_t{4}, 2 * batch_most)
                                                     : 4;
        if (one.size > 4096) made.pool = messages * one.size + (64 << 10);
        if (one.is("durable")) made.durability = Durability::durable;
        return made;
    }

    class Sender {
      public:
        Sender(Shmq& shmq, Place place)
            : one_(shmq.one),
              client_(connect(one_)),
              producer_(need(client_.producer(shmq.queues[place.lane]))),
              batch_bytes_(one_.is("batch") ? one_.size * batch_most : 0),
              loans_(one_.is("loan")),
              durable_(one_.is("durable")) {}

        void send(Bytes payload) {
            if (!batch_bytes_.empty()) return send_in_batch(payload);
            if (loans_) return send_loan(payload);
            need_done(producer_.send(payload));
            if (durable_ && ++unconfirmed_ >= one_.window / 2) confirm();
        }
        void flush() {
            if (durable_) need_done(producer_.await_confirm(Durability::durable));
            if (batched_ == 0) return;
            std::array<Bytes, batch_most> batch;
            for (std::size_t i = 0; i < batched_; ++i)
                batch[i] = Bytes(batch_bytes_).subspan(i * one_.size, one_.size);
            for (std::size_t sent = 0; sent < batched_;)
                sent += need(producer_.send_batch(
                    std::span<const Bytes>(batch).subspan(sent, batched_ - sent)));
            batched_ = 0;
        }

      private:
        void send_loan(Bytes payload) {
            Loan loan = need(producer_.loan(payload.size()));
            pass(one_.touch, loan.data(), payload.data(), payload.size());
            need_done(producer_.send(loan));
        }
        void send_in_batch(Bytes payload) {
            copy_bytes(batch_bytes_.data() + batched_ * one_.size, payload.data(), one_.size);
            if (++batched_ == batch_most) flush();
        }
        // Half a window at a time: while one half is being synced, the next is sent.
        void confirm() {
            if (half_ != 0)
                need_done(producer_.await_confirm_until(half_, Durability::durable,
                                                        Producer::Deadline::max()));
            half_ = producer_.last_receipt();
            unconfirmed_ = 0;
        }

        Case one_;
        Client client_;
        Producer producer_;
        std::vector<std::byte> batch_bytes_;
        std::size_t batched_ = 0;
        bool loans_;
        bool durable_;
        unsigned unconfirmed_ = 0;
        std::uint64_t half_ = 0;
    };

    class Receiver {
      public:
        Receiver(Shmq& shmq, Place place)
            : one_(shmq.one),
              client_(connect(one_)),
              consumer_(need(client_.consumer(shmq.queues[place.lane]))),
              batches_(one_.is("batch")),
              bulk_(one_.is("bulk")),
              polls_(one_.spin && one_.rate <= polled_rate_most) {}

        void receive(Room into) {
            if (batches_) return receive_in_batch(into);
            if (bulk_) return receive_to_ack_later(into);
            if (polls_) return poll(into);
            // Looked at where it is: to move it on costs as much as to receive it.
            auto message = consumer_.receive();
            if (!message) [[unlikely]]
                die(message.error().message());
            take(*message, into);
        }

      private:
        void poll(Room into) {
            for (;;) {
                auto message = consumer_.try_receive();
                if (!message) [[unlikely]]
                    die(message.error().message());
                if (*message) return take(**message, into);
            }
        }
        void take(Message& message, Room into) {
            pass(one_.touch, into.data(), message.data(), message.size());
            need_done(message.ack());
        }
        void receive_to_ack_later(Room into) {
            // The queue gives no more than so many at a time; half of them leaves room.
            if (batch_.size() == batch_most / 2) {
                if (consumer_.ack(batch_) != batch_.size()) die("an ack failed");
                batch_.clear();
            }
            batch_.push_back(need(consumer_.receive()));
            pass(one_.touch, into.data(), batch_.back().data(), batch_.back().size());
        }
        void receive_in_batch(Room into) {
            if (next_ == batch_.size()) {
                if (consumer_.ack(batch_) != batch_.size()) die("an ack failed");
                batch_.clear();
                next_ = 0;
                need(consumer_.receive_batch(batch_, batch_most));
            }
            const Message& message = batch_[next_++];
            pass(one_.touch, into.data(), message.data(), message.size());
            if (first_word(into) == end_mark) give_back_the_rest();
        }
        // What comes after the end is another consumer's.
        void give_back_the_rest() {
            if (consumer_.ack(std::span(batch_).first(next_)) != next_) die("an ack failed");
            batch_.clear();
            next_ = 0;
        }

        Case one_;
        Client client_;
        Consumer consumer_;
        bool batches_;
        bool bulk_;
        bool polls_;
        std::vector<Message> batch_;
        std::size_t next_ = 0;
    };

    Case one;
    Client client;
    std::string queues[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Shmq>(count, arguments);
}
