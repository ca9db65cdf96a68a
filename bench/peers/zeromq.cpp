// ZeroMQ over ipc://: PUSH to PULL. Each receiver has an endpoint of its own; each sender is
// connected to all of them, and ZeroMQ shares the messages out. Its own thread in each process does
// the input and output, and batches what waits.
#include <zmq.h>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

struct ZeroMq {
    explicit ZeroMq(const Case& of) : one(of) {
        for (unsigned lane = 0; lane < 2; ++lane)
            names[lane] = "ipc://" + one.directory + "/" + own_name("zmq", lane);
    }

    struct Side {
        Side(ZeroMq& all, int kind)
            : context(::zmq_ctx_new()), socket(::zmq_socket(context, kind)) {
            const int soon_ms = 1;
            ::zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &soon_ms, sizeof soon_ms);
            need(socket == nullptr ? -1 : 0, "zmq_socket");
            flags = all.one.spin ? ZMQ_DONTWAIT : 0;
        }
        ~Side() {
            ::zmq_close(socket);
            ::zmq_ctx_term(context);
        }
        Side(const Side&) = delete;
        Side& operator=(const Side&) = delete;
        static void need(int result, const char* what) {
            if (result < 0) die(std::string(what) + ": " + ::zmq_strerror(::zmq_errno()));
        }
        // Until it is done; -1 where it is not.
        template <typename Step>
        void until(const char* what, Step step) {
            while (step() < 0)
                if (::zmq_errno() != EAGAIN) need(-1, what);
        }
        void* context;
        void* socket;
        int flags = 0;
    };

    struct Sender : Side {
        Sender(ZeroMq& all, Place place) : Side(all, ZMQ_PUSH) {
            const unsigned receivers = place.lane == 0 ? all.one.consumers : 1;
            for (unsigned i = 0; i < receivers; ++i)
                need(::zmq_connect(socket, (all.names[place.lane] + std::to_string(i)).c_str()),
                     "zmq_connect");
        }
        void send(Bytes payload) {
            until("zmq_send",
                  [&] { return ::zmq_send(socket, payload.data(), payload.size(), flags); });
        }
        void flush() {}
    };

    struct Receiver : Side {
        Receiver(ZeroMq& all, Place place) : Side(all, ZMQ_PULL) {
            const std::string name = all.names[place.lane] + std::to_string(place.index);
            need(::zmq_bind(socket, name.c_str()), "zmq_bind");
        }
        void receive(Room into) {
            until("zmq_recv", [&] { return ::zmq_recv(socket, into.data(), into.size(), flags); });
        }
    };

    Case one;
    std::string names[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::ZeroMq>(count, arguments);
}
