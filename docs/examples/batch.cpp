// Batches: many messages a call, so that clock and wake-ups are paid once.
#include <shmq/client.hpp>

#include <span>
#include <string>
#include <vector>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/batch"));
    auto producer = shmq::value_or_throw(client.producer("example/batch"));
    auto consumer = shmq::value_or_throw(client.consumer("example/batch"));

    std::vector<std::string> texts;
    for (int number = 0; number < 50; ++number)
        texts.push_back("message " + std::to_string(number));
    std::vector<std::span<const std::byte>> payloads;
    for (const std::string& text : texts)
        payloads.push_back(std::as_bytes(std::span(text.data(), text.size())));
    expect(shmq::value_or_throw(producer.send_batch(payloads)) == 50, "fifty messages, one call");

    // Waits for the first message, then takes what is there, up to the number asked for.
    std::vector<shmq::Message> messages;
    expect(shmq::value_or_throw(consumer.receive_batch(messages, 32)) == 32, "32 come at once");
    expect(shmq::value_or_throw(consumer.receive_batch(messages, 32)) == 18, "then the other 18");
    bool in_order = true;
    for (std::size_t number = 0; number < messages.size(); ++number)
        in_order = in_order && messages[number].text() == texts[number];
    expect(in_order, "in the order they were sent");

    // Each message of a batch has its own lease and may be treated on its own.
    shmq::value_or_throw(messages[7].nack());
    expect(consumer.ack(messages) == 49, "49 were still ours to ack");
    auto again = shmq::value_or_throw(consumer.receive());
    expect(again.text() == "message 7", "the nacked one comes again");
    shmq::value_or_throw(again.ack());

    shmq::value_or_throw(client.remove("example/batch", true));
}
