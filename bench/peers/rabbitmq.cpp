// RabbitMQ over loopback: publisher confirms with many unconfirmed, a prefetch, and one ack for
// many.
//
//   accepted   a transient classic queue, transient messages: confirmed when the queue has them
//   durable    a quorum queue: confirmed when they are synced to its log
//   auto, each   the consumer is asked for no ack, or acks each message by itself
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include "peers/works.hpp"

namespace shmq::bench {
namespace {

constexpr amqp_channel_t channel = 1;

amqp_bytes_t bytes_of(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

class Connection {
  public:
    explicit Connection(const Case& one) : state_(::amqp_new_connection()) {
        amqp_socket_t* socket = ::amqp_tcp_socket_new(state_);
        if (::amqp_socket_open(socket, "127.0.0.1", std::stoi(one.server)) != 0)
            die("rabbitmq does not answer");
        need(::amqp_login(state_, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"),
             "login");
        ::amqp_channel_open(state_, channel);
        need("channel");
    }
    ~Connection() { ::amqp_destroy_connection(state_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void need(const char* what) { need(::amqp_get_rpc_reply(state_), what); }
    static void need(const amqp_rpc_reply_t& reply, const char* what) {
        if (reply.reply_type != AMQP_RESPONSE_NORMAL) die(std::string("rabbitmq: ") + what);
    }
    operator amqp_connection_state_t() const { return state_; }

  private:
    amqp_connection_state_t state_;
};

struct RabbitMq {
    explicit RabbitMq(const Case& of) : one(of), name(own_name("rabbitmq", 0)) {
        Connection connection(one);
        const bool durable = one.is("durable");
        amqp_table_entry_t quorum{::amqp_cstring_bytes("x-queue-type"), {}};
        quorum.value.kind = AMQP_FIELD_KIND_UTF8;
        quorum.value.value.bytes = ::amqp_cstring_bytes("quorum");
        const amqp_table_t arguments{durable ? 1 : 0, &quorum};
        ::amqp_queue_declare(connection, channel, bytes_of(name), 0, durable ? 1 : 0, 0, 0,
                             arguments);
        connection.need("queue.declare");
    }
    ~RabbitMq() {
        Connection connection(one);
        ::amqp_queue_delete(connection, channel, bytes_of(name), 0, 0);
    }
    RabbitMq(const RabbitMq&) = delete;
    RabbitMq& operator=(const RabbitMq&) = delete;

    struct Sender {
        Sender(RabbitMq& all, Place) : one(all.one), name(all.name), connection(one) {
            ::amqp_confirm_select(connection, channel);
            connection.need("confirm.select");
            properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
            properties.delivery_mode = one.is("durable") ? 2 : 1;
        }
        void send(Bytes payload) {
            const amqp_bytes_t body{payload.size(),
                                    const_cast<void*>(static_cast<const void*>(payload.data()))};
            if (::amqp_basic_publish(connection, channel, amqp_empty_bytes, bytes_of(name), 0, 0,
                                     &properties, body) != 0)
                die("rabbitmq: basic.publish");
            ++published;
            while (published - confirmed >= one.window)
                await_confirm();
        }
        void flush() {
            while (confirmed < published)
                await_confirm();
        }
        void await_confirm() {
            amqp_frame_t frame;
            if (::amqp_simple_wait_frame(connection, &frame) != 0) die("rabbitmq has gone");
            if (frame.frame_type != AMQP_FRAME_METHOD ||
                frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
                die("rabbitmq did not confirm");
            const auto* ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
            // Without `multiple` it stands for itself alone, and those before it may be to come.
            confirmed = ack->multiple ? std::max(confirmed, ack->delivery_tag) : confirmed + 1;
            ::amqp_maybe_release_buffers(connection);
        }
        Case one;
        std::string name;
        Connection connection;
        amqp_basic_properties_t properties{};
        std::uint64_t published = 0;
        std::uint64_t confirmed = 0;
    };

    struct Receiver {
        Receiver(RabbitMq& all, Place) : one(all.one), connection(one) {
            ::amqp_basic_qos(connection, channel, 0, static_cast<std::uint16_t>(one.window), 0);
            connection.need("basic.qos");
            acks_after = one.is("auto") ? 0 : one.is("each") ? 1 : one.window / 4;
            ::amqp_basic_consume(connection, channel, bytes_of(all.name), amqp_empty_bytes, 0,
                                 acks_after == 0 ? 1 : 0, 0, amqp_empty_table);
            connection.need("basic.consume");
        }
        void receive(Room into) {
            amqp_envelope_t envelope;
            ::amqp_maybe_release_buffers(connection);
            Connection::need(::amqp_consume_message(connection, &envelope, nullptr, 0), "consume");
            std::memcpy(into.data(), envelope.message.body.bytes,
                        std::min(into.size(), envelope.message.body.len));
            if (acks_after != 0 && ++received % acks_after == 0)
                ::amqp_basic_ack(connection, channel, envelope.delivery_tag, 1);
            ::amqp_destroy_envelope(&envelope);
        }
        Case one;
        Connection connection;
        unsigned acks_after = 0;  // so many messages; 0: never
        std::uint64_t received = 0;
    };

    Case one;
    std::string name;
};

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    return shmq::bench::run_peer<shmq::bench::RabbitMq>(count, arguments);
}
