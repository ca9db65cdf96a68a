#include "python/consumer.hpp"

#include <pybind11/stl.h>

#include <shmq/client.hpp>

#include "python/client.hpp"
#include "python/convert.hpp"

namespace shmq::python {

PyMessage::PyMessage(std::shared_ptr<ConsumerState> state, Message message)
    : state_(std::move(state)), message_(std::move(message)) {
    state_->held.insert(this);
}

PyMessage::~PyMessage() {
    state_->held.erase(this);
    if (ended_) return;
    // Views hold their message: there is none left.
    state_->turns.alone([&] { const Message dropped = std::move(message_); });
}

const char* PyMessage::why_ended() const {
    if (ended_) return "the message has ended, and its memory is another's";
    if (state_->turns.forked()) return "the memory of a message is not there in a child of fork";
    return nullptr;
}

void PyMessage::ended() {
    ended_ = true;
    state_->held.erase(this);
}

namespace {

class PyConsumer {
  public:
    PyConsumer(PyClient& client, const std::string& queue, std::uint32_t in_flight)
        : state_(std::make_shared<ConsumerState>(value(without_gil([&, shared = client.shared()] {
              return shared->consumer(queue, {.in_flight = in_flight});
          })))) {}
    ~PyConsumer() { close(true); }
    PyConsumer(const PyConsumer&) = delete;
    PyConsumer& operator=(const PyConsumer&) = delete;

    std::unique_ptr<PyMessage> receive(std::int64_t timeout_ns, Cancel* cancel) {
        auto at_once = try_to_receive();
        if (at_once && *at_once) return wrap(std::move(**at_once));
        if (!at_once && at_once.condition() != Condition::paused) throw Exception(at_once.error());
        auto received =
            state_->turns.wait(timeout_ns, cancel, [](Consumer& consumer, Clock::time_point until) {
                return consumer.receive_until(until);
            });
        return wrap(value(std::move(received)));
    }

    // None if there is nothing.
    std::unique_ptr<PyMessage> try_receive() {
        auto message = value(try_to_receive());
        return message ? wrap(std::move(*message)) : nullptr;
    }

    py::list receive_batch(std::size_t most, std::int64_t timeout_ns) {
        std::vector<Message> messages;
        value(state_->turns.wait(timeout_ns, nullptr,
                                 [&](Consumer& consumer, Clock::time_point until) {
                                     return consumer.receive_batch_until(messages, most, until);
                                 }));
        py::list wrapped;
        for (Message& message : messages)
            wrapped.append(py::cast(wrap(std::move(message))));
        return wrapped;
    }

    std::size_t ack(const std::vector<PyMessage*>& messages) {
        std::vector<Message> gathered;
        for (PyMessage* message : messages) {
            if (message->state() != state_) {
                throw Exception(
                    Error(Condition::invalid_argument, "a message is another consumer's"));
            }
            message->end_views();
        }
        for (PyMessage* message : messages) {
            if (message->has_ended()) continue;
            gathered.push_back(std::move(message->message()));
            message->ended();
        }
        return state_->turns.briefly([&](Consumer& consumer) { return consumer.ack(gathered); });
    }

    std::size_t ack_through(PyMessage& last) {
        if (last.has_ended()) throw Exception(Condition::stale);
        const std::uint64_t sequence = last.message().sequence();
        std::vector<PyMessage*> before;
        for (PyMessage* message : state_->held) {
            if (message->message().sequence() > sequence) continue;
            message->end_views();
            before.push_back(message);
        }
        const auto acked = value(state_->turns.briefly(
            [&](Consumer& consumer) { return consumer.ack_through(last.message()); }));
        for (PyMessage* message : before)
            message->ended();
        return acked;
    }

    void handling(PyMessage& message) {
        state_->turns.briefly([&](Consumer& consumer) { consumer.handling(message.message()); });
    }

    // What is held goes back. BufferError while views are in use, unless `whatever_is_seen`: then
    // they stay readable, with who knows what in them.
    void close(bool whatever_is_seen) {
        if (state_->turns.closed()) return;
        for (PyMessage* message : state_->held) {
            if (!whatever_is_seen) message->end_views();
        }
        state_->turns.close([] {});
    }

    std::size_t in_flight() {
        return state_->turns.briefly([](Consumer& consumer) { return consumer.in_flight(); });
    }
    std::size_t in_flight_limit() {
        return state_->turns.briefly([](Consumer& consumer) { return consumer.in_flight_limit(); });
    }
    bool more_to_come() {
        return state_->turns.briefly([](Consumer& consumer) { return consumer.more_to_come(); });
    }
    bool closed() const { return state_->turns.closed(); }
    const std::shared_ptr<ConsumerState>& state() const { return state_; }
    void stop_waiting() { state_->turns.stop(); }
    void cancel(Cancel& which) {
        which.wanted = true;
        state_->turns.wake();
    }

  private:
    Result<std::optional<Message>> try_to_receive() {
        return state_->turns.briefly([](Consumer& consumer) { return consumer.try_receive(); });
    }
    std::unique_ptr<PyMessage> wrap(Message message) {
        return std::make_unique<PyMessage>(state_, std::move(message));
    }

    std::shared_ptr<ConsumerState> state_;
};

void bind_message(py::module_& module) {
    using Held = PyMessage&;
    py::class_<Exported>(module, "_Exported");
    py::class_<PyMessage, Exported>(module, "Message", buffer_setup())
        .def_property_readonly("data",
                               [](py::object self) { return self.cast<PyMessage&>().view(self); })
        .def("__len__", [](Held self) { return self.size(); })
        .def("__bytes__",
             [](py::object self) {
                 self.cast<PyMessage&>().view(self);
                 return py::reinterpret_steal<py::bytes>(PyBytes_FromObject(self.ptr()));
             })
        .def_property_readonly("sequence", [](Held self) { return self.message().sequence(); })
        .def_property_readonly(
            "timestamp_ns",
            [](Held self) {
                return std::chrono::nanoseconds(self.message().timestamp().time_since_epoch())
                    .count();
            })
        .def_property_readonly("redelivered",
                               [](Held self) { return self.message().redelivered(); })
        .def_property_readonly("deliveries", [](Held self) { return self.message().deliveries(); })
        .def_property_readonly("failures", [](Held self) { return self.message().failures(); })
        .def_property_readonly("ended", &PyMessage::has_ended)
        .def_property_readonly(
            "still_held",
            [](Held self) {
                if (self.has_ended()) return false;
                return self.with([](Message& message) { return message.still_held(); });
            })
        .def("_history",
             [](Held self) -> py::object {
                 auto found = self.with([](Message& message) { return message.history(); });
                 return found ? py::object(to_dict(*found)) : py::object(py::none());
             })
        .def("ack", [](Held self) { self.end([](Message& held) { return held.ack(); }); })
        .def("_nack",
             [](Held self, std::int64_t delay_ns) {
                 self.end([&](Message& held) {
                     if (delay_ns < 0) return held.nack();
                     return held.nack(std::chrono::nanoseconds(delay_ns));
                 });
             })
        .def("reject", [](Held self) { self.end([](Message& held) { return held.reject(); }); })
        .def("_extend", [](Held self, std::int64_t lease_ns) {
            if (self.has_ended()) throw Exception(Condition::stale);
            value(self.with([&](Message& held) {
                if (lease_ns < 0) return held.extend();
                return held.extend(std::chrono::nanoseconds(lease_ns));
            }));
        });
}

}  // namespace

std::shared_ptr<ConsumerState> state_of(py::handle consumer) {
    return consumer.cast<PyConsumer&>().state();
}

void bind_consumer(py::module_& module) {
    bind_message(module);
    py::class_<Cancel>(module, "Cancel").def(py::init<>());
    py::class_<PyConsumer>(module, "Consumer")
        .def(py::init<PyClient&, const std::string&, std::uint32_t>())
        .def("_receive", &PyConsumer::receive)
        .def("try_receive", &PyConsumer::try_receive)
        .def("_receive_batch", &PyConsumer::receive_batch)
        .def("ack", &PyConsumer::ack)
        .def("ack_through", &PyConsumer::ack_through)
        .def("handling", &PyConsumer::handling)
        .def("_close", &PyConsumer::close)
        .def_property_readonly("closed", &PyConsumer::closed)
        .def_property_readonly("in_flight", &PyConsumer::in_flight)
        .def_property_readonly("in_flight_limit", &PyConsumer::in_flight_limit)
        .def_property_readonly("more_to_come", &PyConsumer::more_to_come)
        .def("stop_waiting", &PyConsumer::stop_waiting)
        .def("_cancel", &PyConsumer::cancel);
}

}  // namespace shmq::python
