// shmq again, with a WaitSet: the receiver waits for messages of 64 queues at once, and each
// message comes by the next of them.
#include <shmq/client.hpp>
#include <shmq/wait_set.hpp>

#include <cstring>
#include <vector>

#include "peers/works.hpp"
#include "support/need.hpp"

namespace shmq::bench {
namespace {

constexpr unsigned queues = 64;

struct ManyQueues {
    explicit ManyQueues(const Case& of) : one(of), client(connect(of)) {
        QueueOptions options;
        options.capacity = 64;
        options.exclusive_producer = options.exclusive_consumer = true;
        for (unsigned number = 0; number < lanes() * queues; ++number)
            need_done(client.create(own_name("queue", number), options));
        for (unsigned number = 0; number < lanes() * queues; ++number)
            names.push_back(own_name("queue", number));
    }
    ~ManyQueues() {
        for (const std::string& name : names)
            (void)client.remove(name, true);
    }
    ManyQueues(const ManyQueues&) = delete;
    ManyQueues& operator=(const ManyQueues&) = delete;

    static Client connect(const Case& one) { return need(Client::connect({.socket = one.server})); }
    unsigned lanes() const { return one.work == "latency" || one.work == "wake" ? 2 : 1; }
    std::span<const std::string> of(Place place) const {
        return std::span(names).subspan(place.lane * queues, queues);
    }

    class Sender {
      public:
        Sender(ManyQueues& many, Place place) : client_(connect(many.one)) {
            for (const std::string& name : many.of(place))
                producers_.push_back(need(client_.producer(name)));
        }
        void send(Bytes payload) { need_done(producers_[next_++ % queues].send(payload)); }
        void flush() {}

      private:
        Client client_;
        std::vector<Producer> producers_;
        unsigned next_ = 0;
    };

    class Receiver {
      public:
        Receiver(ManyQueues& many, Place place)
            : client_(connect(many.one)), set_(need(WaitSet::create())) {
            consumers_.reserve(queues);
            for (const std::string& name : many.of(place)) {
                consumers_.push_back(need(client_.consumer(name)));
                need_done(set_.add(consumers_.back()));
            }
        }
        void receive(Room into) {
            auto message = need(need(set_.wait()).front()->try_receive());
            if (!message || message->size() != into.size()) die("not the message that was sent");
            copy_bytes(into.data(), message->data(), message->size());
            need_done(message->ack());
        }

      private:
        Client client_;
        std::vector<Consumer> consumers_;
        WaitSet set_;
    };

    Case one;
    Client client;
    std::vector<std::string> names;
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::ManyQueues>(count, arguments);
}
