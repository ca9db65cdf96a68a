// POSIX message queues, as large as this system lets anybody make them (fs.mqueue).
#include <fcntl.h>
#include <mqueue.h>

#include <fstream>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

long allowed(const char* limit) {
    long value = 10;
    std::ifstream(std::string("/proc/sys/fs/mqueue/") + limit) >> value;
    return value;
}

struct PosixMq {
    explicit PosixMq(const Case& of) : one(of) {
        if (static_cast<long>(one.size) > allowed("msgsize_max"))
            die("larger than fs.mqueue.msgsize_max");
        for (unsigned lane = 0; lane < 2; ++lane) {
            const std::string name = "/" + own_name("mq", lane);
            mq_attr attributes{};
            attributes.mq_maxmsg = allowed("msg_max");
            attributes.mq_msgsize = static_cast<long>(one.size);
            const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | (one.spin ? O_NONBLOCK : 0);
            queues[lane] = ::mq_open(name.c_str(), flags, 0600, &attributes);
            if (queues[lane] < 0) die_of_errno("mq_open");
            ::mq_unlink(name.c_str());  // the roles inherit it
        }
    }

    struct Side {
        Side(PosixMq& all, Place place) : queue(all.queues[place.lane]) {}
        mqd_t queue;
    };
    struct Sender : Side {
        using Side::Side;
        void send(Bytes payload) {
            while (::mq_send(queue, reinterpret_cast<const char*>(payload.data()), payload.size(),
                             0) != 0)
                if (errno != EAGAIN) die_of_errno("mq_send");
        }
        void flush() {}
    };
    struct Receiver : Side {
        using Side::Side;
        void receive(Room into) {
            while (::mq_receive(queue, reinterpret_cast<char*>(into.data()), into.size(), nullptr) <
                   0)
                if (errno != EAGAIN) die_of_errno("mq_receive");
        }
    };

    Case one;
    mqd_t queues[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::PosixMq>(count, arguments);
}
