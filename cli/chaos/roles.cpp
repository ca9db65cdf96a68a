#include "cli/chaos/roles.hpp"

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
    return content.producer < producers_most;
}

int failed(Books& books, const char* role, const Error& error) {
    ++books.errors;
    std::fprintf(stderr, "%s: %s\n", role, error.message().c_str());
    return 1;
}

// Notes a delivery; false if its content is not what was sent.
bool note_delivery(Books& books, const Message& message, Content& content) {
    ++books.deliveries;
    if (!whole(message.bytes(), content) || content.index >= books.messages_most) {
        ++books.damaged;
        return false;
    }
    auto& marks = books.marks(content.producer, content.index);
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
    auto& marks = books.marks(content.producer, content.index);
    marks.fetch_or(acking);
    if (message.ack()) {
        marks.fetch_or(acked);
    } else {
        // It went to another, whose ack counts.
        ++books.stale;
        marks.fetch_and(static_cast<std::uint8_t>(~acking));
    }
}

// What a newcomer may meet while daemons are killed: none is there, or the predecessor in an
// exclusive role is dead for so short a time that nobody has noticed.
bool comes_later(Condition condition) {
    return condition == Condition::role_taken || condition == Condition::no_daemon ||
           condition == Condition::timed_out || condition == Condition::protocol_error;
}

// Asks again until it goes well, fails for good, or the patience is over.
template <typename Attempt>
auto until_it_works(Attempt attempt) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    auto result = attempt();
    while (!result && comes_later(result.condition()) &&
           std::chrono::steady_clock::now() < patience) {
        std::this_thread::sleep_for(milliseconds(1));
        result = attempt();
    }
    return result;
}

// Slows a producer down to its rate.
void keep_pace(const Play& play, std::chrono::steady_clock::time_point since, std::uint64_t sent) {
    if (play.messages_per_second <= 0 || sent % 64 != 0) return;
    const std::chrono::duration<double> due(static_cast<double>(sent) / play.messages_per_second);
    const auto ahead = since + due - std::chrono::steady_clock::now();
    if (ahead > milliseconds(1)) std::this_thread::sleep_for(ahead);
}

}  // namespace

int produce(const Play& play, std::uint32_t producer, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Books& books = *play.books;
    auto client = until_it_works([&] { return Client::connect({.socket = play.socket}); });
    if (!client) return failed(books, "producer", client.error());
    auto handle = until_it_works([&] { return client->producer(play.queue); });
    if (!handle) return failed(books, "producer", handle.error());
    const auto since = std::chrono::steady_clock::now();
    std::vector<std::byte> payload;
    for (std::uint64_t count = 1; !books.stop_producing; ++count) {
        keep_pace(play, since, count);
        const std::uint32_t index = books.next[producer].fetch_add(1);
        if (index >= books.messages_most - 1) {
            books.next[producer] = books.messages_most - 1;
            break;
        }
        const bool large = random() % 8 == 0;
        payload.resize(large ? play.payload_most : sizeof(Content) + random() % 16);
        fill(payload, producer, index);
        books.marks(producer, index).fetch_or(sending);
        for (;;) {
            auto sent_now = handle->send_for(payload, milliseconds(100));
            if (sent_now) break;
            if (sent_now.condition() != Condition::timed_out) {
                return failed(books, "producer", sent_now.error());
            }
        }
        books.marks(producer, index).fetch_or(sent);
    }
    return 0;
}

int consume(const Play& play, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Books& books = *play.books;
    auto client = until_it_works([&] { return Client::connect({.socket = play.socket}); });
    if (!client) return failed(books, "consumer", client.error());
    auto handle = until_it_works([&] { return client->consumer(play.queue); });
    if (!handle) return failed(books, "consumer", handle.error());
    std::vector<Message> batch;
    while (!books.stop_consuming) {
        auto count = handle->receive_batch_until(
            batch, 1 + random() % 8, std::chrono::steady_clock::now() + milliseconds(50));
        if (!count && count.condition() != Condition::timed_out) {
            return failed(books, "consumer", count.error());
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
