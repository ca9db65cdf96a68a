// Zero copy: the producer writes into the queue's memory, the consumer reads the same bytes.
#include <shmq/client.hpp>

#include <cstring>

#include "expect.hpp"

int main() {
    constexpr std::size_t image_bytes = 8 << 20;
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::QueueOptions options;
    options.max_message = image_bytes;  // the default is 1 MiB
    shmq::value_or_throw(client.declare("example/large", options));
    auto producer = shmq::value_or_throw(client.producer("example/large"));
    auto consumer = shmq::value_or_throw(client.consumer("example/large"));

    // A loan is memory of the queue. It is as large as asked for and not initialised.
    auto loan = shmq::value_or_throw(producer.loan(image_bytes));
    std::memset(loan.data(), 0x5a, loan.size());
    loan.shrink(image_bytes - 1);  // less than asked for may be sent
    shmq::value_or_throw(producer.send(loan));

    auto message = shmq::value_or_throw(consumer.receive());
    expect(message.size() == image_bytes - 1, "the message is as large as the shrunk loan");
    const auto bytes = message.bytes();  // in place: nothing was copied on either side
    expect(bytes.front() == std::byte{0x5a} && bytes.back() == std::byte{0x5a}, "bytes as written");
    // The bytes are ours only as long as the lease lasts. Who reads for long looks again
    // afterwards.
    expect(message.still_held(), "they were ours all the while");
    shmq::value_or_throw(message.ack());

    // An unsent loan goes back to the pool by itself.
    { auto unsent = shmq::value_or_throw(producer.loan(image_bytes)); }
    expect(producer.loan(image_bytes + 1).condition() == shmq::Condition::too_big,
           "more than max_message is refused");

    shmq::value_or_throw(client.remove("example/large", true));
}
