// Handles do not survive fork: the child gets a clear error, connects anew, and disturbs nothing.
#include <shmq/client.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include "expect.hpp"

int main() {
    auto client = shmq::value_or_throw(shmq::Client::connect());
    shmq::value_or_throw(client.declare("example/fork"));
    auto producer = shmq::value_or_throw(client.producer("example/fork"));
    auto consumer = shmq::value_or_throw(client.consumer("example/fork"));
    shmq::value_or_throw(producer.send("from the parent"));
    auto message = shmq::value_or_throw(consumer.receive());

    const pid_t child = fork();
    if (child == 0) {
        // One participant in two processes would be two hands with one name on every slot.
        expect(producer.send("x").condition() == shmq::Condition::forked, "child: no send");
        expect(consumer.try_receive().condition() == shmq::Condition::forked, "child: no receive");
        expect(message.ack().condition() == shmq::Condition::forked, "child: no ack");

        auto own = shmq::value_or_throw(shmq::Client::connect());
        auto own_producer = shmq::value_or_throw(own.producer("example/fork"));
        expect(own_producer.send("from the child").ok(), "child: a connection of its own works");
        std::fflush(stdout);
        // _exit: what the parent registered with atexit is not the child's to run.
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child found all as it should be");

    expect(message.still_held() && message.ack().ok(), "the parent's message is still its own");
    auto from_child = shmq::value_or_throw(consumer.receive());
    expect(from_child.text() == "from the child", "the child's message came");
    shmq::value_or_throw(from_child.ack());

    shmq::value_or_throw(client.remove("example/fork", true));
}
