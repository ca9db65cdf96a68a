// A consumer is killed with a message in hand; another gets it at once, marked as redelivered.
#include <shmq/client.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "expect.hpp"

// Takes the message and is killed before the ack, as if by a crash.
[[noreturn]] void victim() {
    // Handles do not survive fork, so the child connects anew.
    auto client = shmq::value_or_throw(shmq::Client::connect());
    auto consumer = shmq::value_or_throw(client.consumer("example/redelivery"));
    auto message = shmq::value_or_throw(consumer.receive());
    std::raise(SIGKILL);
    std::abort();
}

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/redelivery"));
    auto producer = shmq::value_or_throw(client.producer("example/redelivery"));
    shmq::value_or_throw(producer.send("pay the rent"));

    const pid_t child = fork();
    if (child == 0) victim();
    int status = 0;
    waitpid(child, &status, 0);
    expect(WIFSIGNALED(status), "the first consumer was killed");

    // No lease has to run out (it is 30 s here): the daemon sees the death itself.
    auto consumer = shmq::value_or_throw(client.consumer("example/redelivery"));
    auto message = shmq::value_or_throw(consumer.receive_for(std::chrono::seconds(10)));
    expect(message.text() == "pay the rent", "the second consumer got its message");
    // The mark says: somebody had this before. The rent may be paid already; look before paying.
    expect(message.redelivered(), "it is marked as redelivered");
    expect(message.deliveries() == 2 && message.failures() == 1, "the crash counts as a failure");
    shmq::value_or_throw(message.ack());

    shmq::value_or_throw(client.remove("example/redelivery", true));
}
