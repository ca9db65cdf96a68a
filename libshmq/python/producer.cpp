// Producer and Loan for Python.
#include "python/producer.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include <shmq/client.hpp>

#include "python/client.hpp"
#include "python/convert.hpp"
#include "python/exported.hpp"
#include "python/turns.hpp"

namespace shmq::python {
namespace {

using ProducerTurns = Turns<Producer>;

class PyLoan : public Exported {
  public:
    PyLoan(std::shared_ptr<ProducerTurns> turns, Loan loan)
        : turns_(std::move(turns)), loan_(std::move(loan)) {}
    ~PyLoan() override {
        turns_->alone([&] { loan_.reset(); });
    }
    PyLoan(const PyLoan&) = delete;
    PyLoan& operator=(const PyLoan&) = delete;

    void* memory() override { return loan_->data(); }
    std::size_t size() const override { return loan_ ? loan_->size() : 0; }
    bool writable() const override { return true; }
    const char* why_ended() const override {
        if (!loan_) return "the loan was sent or given back";
        if (turns_->forked()) return "the memory of a loan is not there in a child of fork";
        return nullptr;
    }

    void shrink(std::size_t size) {
        if (size > loan().size()) {
            throw Exception(Error(Condition::invalid_argument, "a loan cannot grow"));
        }
        end_views();
        loan().shrink(size);
    }
    void send(std::int64_t timeout_ns) {
        loan();
        end_views();
        value(turns_->wait(timeout_ns, nullptr, [&](Producer& producer, Clock::time_point until) {
            return producer.send_until(*loan_, until);
        }));
        loan_.reset();
    }
    void give_back() {
        end_views();
        turns_->alone([&] { loan_.reset(); });
    }

  private:
    Loan& loan() {
        if (!loan_) throw Exception(Error(Condition::invalid_argument, why_ended()));
        return *loan_;
    }

    std::shared_ptr<ProducerTurns> turns_;
    std::optional<Loan> loan_;
};

class PyProducer {
  public:
    PyProducer(PyClient& client, const std::string& queue)
        : turns_(std::make_shared<ProducerTurns>(value(
              without_gil([&, shared = client.shared()] { return shared->producer(queue); })))) {}
    ~PyProducer() { close(); }
    PyProducer(const PyProducer&) = delete;
    PyProducer& operator=(const PyProducer&) = delete;

    void send(py::handle data, std::int64_t timeout_ns, Cancel* cancel) {
        const Payload payload(data);
        auto sent =
            turns_->briefly([&](Producer& producer) { return producer.try_send(payload.bytes()); });
        const bool may_come =
            !sent && (sent.condition() == Condition::full || sent.condition() == Condition::paused);
        if (may_come && timeout_ns != 0) {
            sent =
                turns_->wait(timeout_ns, cancel, [&](Producer& producer, Clock::time_point until) {
                    return producer.send_until(payload.bytes(), until);
                });
        }
        value(std::move(sent));
    }

    std::size_t send_batch(const py::iterable& all, std::int64_t timeout_ns) {
        std::vector<Payload> payloads;
        for (py::handle one : all)
            payloads.emplace_back(one);
        std::vector<std::span<const std::byte>> spans;
        for (const Payload& payload : payloads)
            spans.push_back(payload.bytes());
        // The main thread looks for signals now and then, and so may come back with a part sent.
        const auto deadline = deadline_of(timeout_ns);
        std::size_t sent = 0;
        while (sent < spans.size()) {
            const auto rest = std::span<const std::span<const std::byte>>(spans).subspan(sent);
            const auto left = timeout_ns < 0 ? timeout_ns : nanoseconds_until(deadline);
            auto now =
                turns_->wait(left, nullptr, [&](Producer& producer, Clock::time_point until) {
                    return producer.send_batch_until(rest, until);
                });
            if (!now && sent != 0) break;
            sent += value(std::move(now));
        }
        return sent;
    }

    std::unique_ptr<PyLoan> loan(std::size_t size, std::int64_t timeout_ns) {
        auto lent =
            turns_->wait(timeout_ns, nullptr, [&](Producer& producer, Clock::time_point until) {
                return producer.loan_until(size, until);
            });
        return std::make_unique<PyLoan>(turns_, value(std::move(lent)));
    }

    std::uint64_t last_receipt() {
        return turns_->briefly([](Producer& producer) { return producer.last_receipt(); });
    }
    bool is_confirmed(std::uint64_t receipt, const std::string& level) {
        const Durability wanted = to_durability(level);
        return turns_->briefly(
            [&](Producer& producer) { return producer.is_confirmed(receipt, wanted); });
    }
    void await_confirm(std::uint64_t receipt, const std::string& level, std::int64_t timeout_ns) {
        const Durability wanted = to_durability(level);
        value(turns_->wait(timeout_ns, nullptr, [&](Producer& producer, Clock::time_point until) {
            return producer.await_confirm_until(receipt, wanted, until);
        }));
    }
    int confirm_descriptor() {
        return value(
            turns_->briefly([](Producer& producer) { return producer.confirm_descriptor(); }));
    }
    std::uint64_t max_message() {
        return turns_->briefly([](Producer& producer) { return producer.max_message(); });
    }
    void stop_waiting() { turns_->stop(); }
    void cancel(Cancel& which) {
        which.wanted = true;
        turns_->wake();
    }
    void close() {
        turns_->close([] {});
    }
    bool closed() const { return turns_->closed(); }

  private:
    std::shared_ptr<ProducerTurns> turns_;
};

}  // namespace

void bind_producer(py::module_& module) {
    py::class_<PyLoan, Exported>(module, "Loan", buffer_setup())
        .def_property_readonly("data",
                               [](py::object self) { return self.cast<PyLoan&>().view(self); })
        .def("__len__", &PyLoan::size)
        .def("shrink", &PyLoan::shrink)
        .def("_send", &PyLoan::send)
        .def("give_back", &PyLoan::give_back);
    py::class_<PyProducer>(module, "Producer")
        .def(py::init<PyClient&, const std::string&>())
        .def("_send", &PyProducer::send)
        .def("_send_batch", &PyProducer::send_batch)
        .def("_loan", &PyProducer::loan)
        .def_property_readonly("last_receipt", &PyProducer::last_receipt)
        .def("is_confirmed", &PyProducer::is_confirmed)
        .def("_await_confirm", &PyProducer::await_confirm)
        .def("confirm_descriptor", &PyProducer::confirm_descriptor)
        .def_property_readonly("max_message", &PyProducer::max_message)
        .def("stop_waiting", &PyProducer::stop_waiting)
        .def("_cancel", &PyProducer::cancel)
        .def("close", &PyProducer::close)
        .def_property_readonly("closed", &PyProducer::closed);
}

}  // namespace shmq::python
