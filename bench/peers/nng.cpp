// nng over ipc://: push to pull, by messages that are passed without copying where nng can. Threads
// of its own in each process do the input and output.
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

void need(int result, const char* what) {
    if (result != 0) die(std::string(what) + ": " + ::nng_strerror(result));
}

struct Nng {
    explicit Nng(const Case& of) : one(of) {
        for (unsigned lane = 0; lane < 2; ++lane)
            names[lane] = "ipc://" + one.directory + "/" + own_name("nng", lane);
    }

    struct Sender {
        Sender(Nng& all, Place place) {
            need(::nng_push0_open(&socket), "nng_push0_open");
            need(::nng_socket_set_int(socket, NNG_OPT_SENDBUF, 1024), "NNG_OPT_SENDBUF");
            need(::nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 1), "NNG_OPT_RECONNMINT");
            const unsigned receivers = place.lane == 0 ? all.one.consumers : 1;
            for (unsigned i = 0; i < receivers; ++i) {
                const std::string name = all.names[place.lane] + std::to_string(i);
                need(::nng_dial(socket, name.c_str(), nullptr, NNG_FLAG_NONBLOCK), "nng_dial");
            }
        }
        void send(Bytes payload) {
            nng_msg* message = nullptr;
            need(::nng_msg_alloc(&message, payload.size()), "nng_msg_alloc");
            std::memcpy(::nng_msg_body(message), payload.data(), payload.size());
            need(::nng_sendmsg(socket, message, 0), "nng_sendmsg");
        }
        void flush() {}
        nng_socket socket;
    };

    struct Receiver {
        Receiver(Nng& all, Place place) {
            need(::nng_pull0_open(&socket), "nng_pull0_open");
            need(::nng_socket_set_int(socket, NNG_OPT_RECVBUF, 1024), "NNG_OPT_RECVBUF");
            need(::nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
            const std::string name = all.names[place.lane] + std::to_string(place.index);
            need(::nng_listen(socket, name.c_str(), nullptr, 0), "nng_listen");
        }
        void receive(Room into) {
            nng_msg* message = nullptr;
            need(::nng_recvmsg(socket, &message, 0), "nng_recvmsg");
            std::memcpy(into.data(), ::nng_msg_body(message), into.size());
            ::nng_msg_free(message);
        }
        nng_socket socket;
    };

    Case one;
    std::string names[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Nng>(count, arguments);
}
