// iceoryx: publisher and subscriber, set so that nothing is lost (both sides wait). `touch` says
// whether the payload is written into the chunk and read from it, or the chunk alone handed over.
// Who sleeps does so in a WaitSet.
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

#include <unistd.h>

#include <optional>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

struct Iceoryx {
    explicit Iceoryx(const Case& of) : one(of) {
        for (unsigned lane = 0; lane < 2; ++lane)
            names[lane] = own_name("iceoryx", lane);
    }

    // Once for each process, before anything else of it.
    static void take_part() {
        static const bool done = [] {
            const std::string name = own_name("role", 0);
            iox::runtime::PoshRuntime::initRuntime(
                iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name));
            return true;
        }();
        (void)done;
    }
    iox::capro::ServiceDescription service(unsigned lane) const {
        return {"shmq-bench", "lane",
                iox::capro::IdString_t(iox::cxx::TruncateToCapacity, names[lane])};
    }

    class Sender {
      public:
        Sender(Iceoryx& all, Place place) : touch_(all.one.touch) {
            take_part();
            iox::popo::PublisherOptions options;
            options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
            publisher_.emplace(all.service(place.lane), options);
        }
        void send(Bytes payload) {
            // The first message waits for who is to have it.
            while (!met_ && !(met_ = publisher_->hasSubscribers()))
                ::usleep(1000);
            publisher_->loan(static_cast<std::uint32_t>(payload.size()), 8)
                .and_then([&](void* chunk) {
                    pass(touch_, static_cast<std::byte*>(chunk), payload.data(), payload.size());
                    publisher_->publish(chunk);
                })
                .or_else([](auto&) { die("iceoryx has no chunk of that size"); });
        }
        void flush() {}

      private:
        std::optional<iox::popo::UntypedPublisher> publisher_;
        bool touch_;
        bool met_ = false;
    };

    class Receiver {
      public:
        Receiver(Iceoryx& all, Place place) : touch_(all.one.touch), spin_(all.one.spin) {
            take_part();
            iox::popo::SubscriberOptions options;
            options.queueCapacity = 256;
            options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
            subscriber_.emplace(all.service(place.lane), options);
            if (spin_) return;
            waiting_.emplace();
            waiting_->attachState(*subscriber_, iox::popo::SubscriberState::HAS_DATA)
                .or_else([](auto) { die("iceoryx refused the WaitSet"); });
        }
        void receive(Room into) {
            for (bool taken = false; !taken;) {
                subscriber_->take().and_then([&](const void* chunk) {
                    pass(touch_, into.data(), static_cast<const std::byte*>(chunk), into.size());
                    subscriber_->release(chunk);
                    taken = true;
                });
                if (!taken && !spin_) waiting_->wait();
            }
        }

      private:
        std::optional<iox::popo::UntypedSubscriber> subscriber_;
        std::optional<iox::popo::WaitSet<>> waiting_;
        bool touch_;
        bool spin_;
    };

    Case one;
    std::string names[2];
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Iceoryx>(count, arguments);
}
