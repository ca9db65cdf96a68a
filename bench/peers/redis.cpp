// Redis Streams: XADD in pipelines, XREADGROUP of many, one XACK for all of them. A message counts
// as sent when its XADD is answered; what that means the server's settings say (servers.py).
#include <hiredis/hiredis.h>

#include <deque>
#include <vector>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

constexpr const char* group = "group";

struct Redis {
    explicit Redis(const Case& of) : one(of), name(own_name("redis", 0)) {
        Connection connection(one);
        connection.call("XGROUP CREATE %s %s $ MKSTREAM", name.c_str(), group);
    }
    ~Redis() { Connection(one).call("DEL %s", name.c_str()); }
    Redis(const Redis&) = delete;
    Redis& operator=(const Redis&) = delete;

    struct Connection {
        explicit Connection(const Case& one) : context(::redisConnectUnix(one.server.c_str())) {
            if (context == nullptr || context->err != 0) die("redis does not answer");
        }
        ~Connection() { ::redisFree(context); }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;

        redisReply* next() {
            void* reply = nullptr;
            if (::redisGetReply(context, &reply) != REDIS_OK) die(context->errstr);
            auto* answer = static_cast<redisReply*>(reply);
            if (answer->type == REDIS_REPLY_ERROR) die(answer->str);
            return answer;
        }
        template <typename... Values>
        void call(const char* format, Values... values) {
            ::redisAppendCommand(context, format, values...);
            ::freeReplyObject(next());
        }
        redisContext* context;
    };

    struct Sender {
        Sender(Redis& redis, Place) : one(redis.one), name(redis.name), connection(one) {}
        void send(Bytes payload) {
            ::redisAppendCommand(connection.context, "XADD %s * p %b", name.c_str(), payload.data(),
                                 payload.size());
            if (++unanswered >= one.window) flush();
        }
        void flush() {
            for (; unanswered > 0; --unanswered)
                ::freeReplyObject(connection.next());
        }
        Case one;
        std::string name;
        Connection connection;
        unsigned unanswered = 0;
    };

    class Receiver {
      public:
        Receiver(Redis& redis, Place place)
            : one_(redis.one),
              name_(redis.name),
              self_("consumer" + std::to_string(place.index)),
              connection_(one_) {}
        ~Receiver() { drop(); }
        Receiver(const Receiver&) = delete;
        Receiver& operator=(const Receiver&) = delete;

        void receive(Room into) {
            if (reply_ == nullptr || next_ == messages().elements) fetch();
            const redisReply* payload = messages().element[next_++]->element[1]->element[1];
            std::memcpy(into.data(), payload->str, std::min(into.size(), payload->len));
        }

      private:
        // [[stream, [[id, [field, value]], ...]]]
        redisReply& messages() const { return *reply_->element[0]->element[1]; }

        void fetch() {
            ack();
            drop();
            ::redisAppendCommand(connection_.context,
                                 "XREADGROUP GROUP %s %s COUNT %u BLOCK 0 STREAMS %s >", group,
                                 self_.c_str(), one_.window, name_.c_str());
            reply_ = connection_.next();
            next_ = 0;
        }
        void ack() {
            if (reply_ == nullptr) return;
            std::vector<const char*> words{"XACK", name_.c_str(), group};
            for (std::size_t i = 0; i < messages().elements; ++i)
                words.push_back(messages().element[i]->element[0]->str);
            ::redisAppendCommandArgv(connection_.context, static_cast<int>(words.size()),
                                     words.data(), nullptr);
            ::freeReplyObject(connection_.next());
        }
        void drop() {
            if (reply_ != nullptr) ::freeReplyObject(reply_);
            reply_ = nullptr;
        }

        Case one_;
        std::string name_;
        std::string self_;
        Connection connection_;
        redisReply* reply_ = nullptr;
        std::size_t next_ = 0;
    };

    Case one;
    std::string name;
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::Redis>(count, arguments);
}
