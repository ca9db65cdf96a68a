#include <iostream>
#include <shmq/client.hpp>

int main() {
    try {
        auto client = shmq::value_or_throw(shmq::Client::connect());
        shmq::value_or_throw(client.declare("greetings"));
        auto producer = shmq::value_or_throw(client.producer("greetings"));
        shmq::value_or_throw(producer.send("from C++"));
    } catch (const shmq::Exception& failure) {
        std::cerr << failure.what() << '\n';
        return 1;
    }
}
