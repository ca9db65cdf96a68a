#include "work.hpp"

#include <shmq/client.hpp>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <span>
#include <vector>

namespace demo {
namespace {

constexpr std::size_t batch_most = 64;
constexpr std::chrono::milliseconds look_around{50};

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

int report(const char* what, const shmq::Error& error) {
    std::fprintf(stderr, "shmq_demo: %s: %s\n", what, error.message().c_str());
    return 1;
}

void wait_for_start(Board& board) {
    board.ready.fetch_add(1);
    const timespec pause{0, 1'000'000};
    while (board.go.load() == 0)
        ::nanosleep(&pause, nullptr);
}

shmq::Result<shmq::Client> connect(const Work& work) {
    shmq::ConnectOptions options;
    options.socket = work.socket;
    return shmq::Client::connect(options);
}

// Gathers messages and sends them in batches: a batch shares clock and wake-ups.
class Outbox {
  public:
    Outbox(shmq::Producer& producer, Board& board)
        : producer_(producer), board_(board), messages_(batch_most) {}

    shmq::Result<void> put(std::string_view path, std::uint32_t line, std::string_view content) {
        write_message(messages_[count_++], path, line, content);
        return count_ == batch_most ? flush() : shmq::Result<void>();
    }

    shmq::Result<void> flush() {
        std::span<const std::byte> payloads[batch_most];
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            payloads[i] = std::as_bytes(std::span(messages_[i].data(), messages_[i].size()));
            bytes += messages_[i].size();
        }
        for (std::size_t sent = 0; sent < count_;) {
            // Fewer than asked: an error came after the first. The next call tells which.
            auto result = producer_.send_batch(std::span(payloads).subspan(sent, count_ - sent));
            if (!result) return result.error();
            sent += *result;
        }
        board_.sent.fetch_add(count_);
        board_.sent_bytes.fetch_add(bytes);
        count_ = 0;
        return {};
    }

  private:
    shmq::Producer& producer_;
    Board& board_;
    std::vector<std::string> messages_;
    std::size_t count_ = 0;
};

void note_redelivery(Board& board, std::uint64_t now) {
    if (board.killed_at.load() == 0) return;
    std::uint64_t none = 0;
    board.first_redelivery.compare_exchange_strong(none, now);
}

// Books one batch. False: a message that is no line of the input, or no room for the ledger.
bool book(const Work& work, std::uint32_t number, Ledger& ledger,
          std::span<const shmq::Message> messages, std::vector<Receipt>& receipts) {
    Board::Consumer& board = work.board.consumers[number];
    const std::uint64_t now = now_ns();
    receipts.clear();
    for (const shmq::Message& message : messages) {
        Catalogue::Place place;
        if (!work.input.locate(message.text(), place)) {
            std::fprintf(stderr, "shmq_demo: message %llu is no line of the input\n",
                         static_cast<unsigned long long>(message.sequence()));
            return false;
        }
        receipts.push_back({place.file, place.line & 0x7fffffff, message.redelivered() ? 1u : 0u,
                            hash_of(message.text())});
        if (message.redelivered()) note_redelivery(work.board, now);
        const auto sent =
            static_cast<std::uint64_t>(message.timestamp().time_since_epoch().count());
        board.time_in_queue.add(now > sent ? now - sent : 0);
    }
    return ledger.append(receipts);
}

}  // namespace

int produce(const Work& work) {
    auto client = connect(work);
    if (!client) return report("producer", client.error());
    auto producer = client->producer(work.queue);
    if (!producer) return report("producer", producer.error());
    Outbox outbox(*producer, work.board);
    wait_for_start(work.board);

    std::string content;
    for (;;) {
        const std::uint32_t file = work.board.next_file.fetch_add(1);
        if (file >= work.input.size()) break;
        if (!work.input.read(file, content)) {
            std::fprintf(stderr, "shmq_demo: cannot read %s\n", work.input.path(file).c_str());
            return 1;
        }
        shmq::Result<void> sent;
        for_each_line(content, [&](std::uint32_t line, std::string_view text) {
            if (sent) sent = outbox.put(work.input.path(file), line, text);
        });
        if (!sent) return report("send", sent.error());
        work.board.bytes_read.fetch_add(content.size());
    }
    auto sent = outbox.flush();
    return sent ? 0 : report("send", sent.error());
}

int consume(const Work& work, std::uint32_t number, Ledger& ledger) {
    auto client = connect(work);
    if (!client) return report("consumer", client.error());
    auto consumer = client->consumer(work.queue);
    if (!consumer) return report("consumer", consumer.error());
    Board::Consumer& board = work.board.consumers[number];
    std::vector<shmq::Message> messages;
    std::vector<Receipt> receipts;
    wait_for_start(work.board);

    for (;;) {
        messages.clear();
        const auto deadline = std::chrono::steady_clock::now() + look_around;
        auto received = consumer->receive_batch_until(messages, batch_most, deadline);
        if (!received && received.condition() == shmq::Condition::timed_out) {
            if (work.board.finish.load() != 0) return 0;
            continue;
        }
        if (!received) return report("receive", received.error());
        board.in_hand.store(messages.size());
        board.received.fetch_add(messages.size());
        // First the receipts, then the acks: who dies in between has them delivered again, marked.
        if (!book(work, number, ledger, messages, receipts)) return 1;
        consumer->ack(messages);
        board.in_hand.store(0);
        board.last_ack.store(now_ns());
    }
}

}  // namespace demo
