// Boost.Interprocess message_queue: one lock and two conditions in shared memory; copies in and
// out. Spinning by its try_ calls is its fastest way.
#include <boost/interprocess/ipc/message_queue.hpp>

#include <optional>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

namespace ipc = boost::interprocess;

struct Boost {
    explicit Boost(const Case& of) : one(of) {
        const std::size_t depth = std::clamp<std::size_t>((64 << 20) / one.size, 4, 4096);
        for (unsigned lane = 0; lane < 2; ++lane) {
            names[lane] = own_name("boost", lane);
            queues[lane].emplace(ipc::create_only, names[lane].c_str(), depth, one.size);
        }
    }
    ~Boost() {
        for (const std::string& name : names)
            ipc::message_queue::remove(name.c_str());
    }
    Boost(const Boost&) = delete;
    Boost& operator=(const Boost&) = delete;

    struct Sender {
        Sender(Boost& boost, Place place)
            : spin(boost.one.spin), queue(*boost.queues[place.lane]) {}
        void send(Bytes payload) {
            if (!spin) return queue.send(payload.data(), payload.size(), 0);
            while (!queue.try_send(payload.data(), payload.size(), 0)) {
            }
        }
        void flush() {}
        bool spin;
        ipc::message_queue& queue;
    };

    struct Receiver {
        Receiver(Boost& boost, Place place)
            : spin(boost.one.spin), queue(*boost.queues[place.lane]) {}
        void receive(Room into) {
            ipc::message_queue::size_type size = 0;
            unsigned priority = 0;
            if (!spin) return queue.receive(into.data(), into.size(), size, priority);
            while (!queue.try_receive(into.data(), into.size(), size, priority)) {
            }
        }
        bool spin;
        ipc::message_queue& queue;
    };

    Case one;
    std::string names[2];
    std::optional<ipc::message_queue> queues[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Boost>(count, arguments);
}
