#include <iostream>
#include <shmq/client.hpp>

int main() {
    try {
        auto client = shmq::value_or_throw(shmq::Client::connect());
        shmq::value_or_throw(client.declare("greetings"));
        auto producer = shmq::value_or_throw(client.producer("greetings"));
        shmq::value_or_throw(producer.send("hello"));
        auto consumer = shmq::value_or_throw(client.consumer("greetings"));
        auto message = shmq::value_or_throw(consumer.receive());
        std::cout << message.text() << '\n';
        shmq::value_or_throw(message.ack());
        return 0;
    } catch (const shmq::Exception& failure) {
        std::cerr << failure.what() << '\n';
        return 1;
    }
}
