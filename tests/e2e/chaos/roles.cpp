#include "e2e/chaos/roles.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <shmq/client.hpp>
#include <thread>
#include <vector>

namespace shmq::chaos {
namespace {

using std::chrono::milliseconds;

// What every message begins with; the rest is filled from it.
struct Content {
    std::uint32_t producer;
    std::uint32_t index;
    std::uint32_t length;
    std::uint32_t check;
};

std::uint32_t check_of(const Content& content) {
    return (content.producer * 2654435761u) ^ (content.index * 40503u) ^ (content.length * 97u);
}

std::byte filler(const Content& content, std::size_t place) {
    return static_cast<std::byte>(content.check + place);
}

void fill(std::vector<std::byte>& payload, std::uint32_t producer, std::uint32_t index) {
    Content content{producer, index, static_cast<std::uint32_t>(payload.size()), 0};
    content.check = check_of(content);
    std::memcpy(payload.data(), &content, sizeof content);
    for (std::size_t i = sizeof content; i < payload.size(); ++i)
        payload[i] = filler(content, i);
}

bool whole(std::span<const std::byte> payload, Content& content) {
    if (payload.size() < sizeof content) return false;
    std::memcpy(&content, payload.data(), sizeof content);
    if (content.length != payload.size() || content.check != check_of(content)) return false;
    for (std::size_t i = sizeof content; i < payload.size(); ++i) {
        if (payload[i] != filler(content, i)) return false;
    }
    return content.producer < producers_most && content.index < messages_most;
}

int failed(const char* role, const Error& error) {
    std::fprintf(stderr, "%s: %s\n", role, error.message().c_str());
    return 1;
}

// Notes a delivery; false if its content is not what was sent.
bool note_delivery(Books& books, const Message& message, Content& content) {
    ++books.deliveries;
    if (!whole(message.bytes(), content)) {
        ++books.damaged;
        return false;
    }
    auto& marks = books.marks[content.producer][content.index];
    const std::uint8_t before = marks.fetch_or(delivered);
    if ((before & delivered) != 0) {
        ++books.duplicates;
        if (!message.redelivered()) ++books.unmarked_duplicates;
    }
    if ((before & acked) != 0) ++books.after_ack;
    return true;
}

void finish(Books& books, Message& message, const Content& content, std::mt19937_64& random) {
    if (random() % 16 == 0) {
        ++books.nacks;
        if (!message.nack()) ++books.stale;
        return;
    }
    auto& marks = books.marks[content.producer][content.index];
    marks.fetch_or(acking);
    if (message.ack()) {
        marks.fetch_or(acked);
    } else {
        // It went to another, whose ack counts.
        ++books.stale;
        marks.fetch_and(static_cast<std::uint8_t>(~acking));
    }
}

}  // namespace

int produce(const Play& play, std::uint32_t producer, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    auto client = Client::connect({.socket = play.socket});
    if (!client) return failed("producer", client.error());
    Result<Producer> handle = client->producer(play.queue);
    // The predecessor in an exclusive role may be dead for so short a time that nobody has noticed.
    while (!handle && handle.condition() == Condition::role_taken) {
        std::this_thread::sleep_for(milliseconds(1));
        handle = client->producer(play.queue);
    }
    if (!handle) return failed("producer", handle.error());
    Books& books = *play.books;
    std::vector<std::byte> payload;
    while (!books.stop_producing) {
        const std::uint32_t index = books.next[producer].fetch_add(1);
        if (index >= messages_most - 1) break;
        const bool large = random() % 8 == 0;
        payload.resize(large ? play.payload_most : sizeof(Content) + random() % 16);
        fill(payload, producer, index);
        books.marks[producer][index].fetch_or(sending);
        for (;;) {
            auto sent_now = handle->send_for(payload, milliseconds(100));
            if (sent_now) break;
            if (sent_now.condition() != Condition::timed_out) {
                return failed("producer", sent_now.error());
            }
        }
        books.marks[producer][index].fetch_or(sent);
    }
    return 0;
}

int consume(const Play& play, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    auto client = Client::connect({.socket = play.socket});
    if (!client) return failed("consumer", client.error());
    Result<Consumer> handle = client->consumer(play.queue);
    while (!handle && handle.condition() == Condition::role_taken) {
        std::this_thread::sleep_for(milliseconds(1));
        handle = client->consumer(play.queue);
    }
    if (!handle) return failed("consumer", handle.error());
    Books& books = *play.books;
    std::vector<Message> batch;
    while (!books.stop_consuming) {
        auto count = handle->receive_batch_until(
            batch, 1 + random() % 8, std::chrono::steady_clock::now() + milliseconds(50));
        if (!count && count.condition() != Condition::timed_out) {
            return failed("consumer", count.error());
        }
        for (Message& message : batch) {
            Content content{};
            if (note_delivery(books, message, content)) {
                finish(books, message, content, random);
            }
        }
        batch.clear();
    }
    return 0;
}

}  // namespace shmq::chaos
