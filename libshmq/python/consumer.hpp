// Consumer and Message for Python.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <unordered_set>
#include <vector>

#include <shmq/consumer.hpp>

#include "python/exported.hpp"
#include "python/turns.hpp"

namespace shmq::python {

class PyMessage;

// Shared by a consumer and its messages: they take turns.
struct ConsumerState {
    explicit ConsumerState(Consumer consumer) : turns(std::move(consumer)) {}
    Turns<Consumer> turns;
    std::unordered_set<PyMessage*> held;  // with the GIL
    bool in_set = false;                  // with the GIL: whoever waits for many takes its turns
};

class PyMessage : public Exported {
  public:
    PyMessage(std::shared_ptr<ConsumerState> state, Message message);
    ~PyMessage() override;
    PyMessage(const PyMessage&) = delete;
    PyMessage& operator=(const PyMessage&) = delete;

    void* memory() override { return const_cast<std::byte*>(message_.data()); }
    std::size_t size() const override { return message_.size(); }
    bool writable() const override { return false; }
    const char* why_ended() const override;

    // Ends it by `verb(message)`; BufferError while views are in use.
    template <typename Verb>
    void end(Verb verb) {
        if (ended_) throw Exception(Condition::stale);
        end_views();
        const auto result = state_->turns.alone([&] { return verb(message_); });
        // A wrong argument leaves the message as it was.
        if (result.condition() != Condition::invalid_argument) ended();
        value_or_throw(Result<void>(result.ok() ? Result<void>() : result.error()));
    }
    // Calls what leaves the message held.
    template <typename Call>
    auto with(Call call) {
        return state_->turns.alone([&] { return call(message_); });
    }
    void ended();
    bool has_ended() const { return ended_; }
    const Message& message() const { return message_; }
    Message& message() { return message_; }
    const std::shared_ptr<ConsumerState>& state() const { return state_; }

  private:
    std::shared_ptr<ConsumerState> state_;
    Message message_;
    bool ended_ = false;
};

// Of a Python Consumer.
std::shared_ptr<ConsumerState> state_of(py::handle consumer);

void bind_consumer(py::module_& module);

}  // namespace shmq::python
