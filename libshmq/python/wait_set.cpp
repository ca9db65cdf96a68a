#include "python/wait_set.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <shmq/wait_set.hpp>

#include "python/consumer.hpp"
#include "python/convert.hpp"

namespace shmq::python {
namespace {

// libshmq wants a set and all its consumers in one thread at a time: each call here takes the turns
// of all of them. It never sleeps in there; who waits polls the descriptor.
class PyWaitSet {
    struct Member {
        std::shared_ptr<ConsumerState> state;
        Consumer* handle;  // in there, and stays
        std::uint64_t token;
    };

    // With the GIL, which is let go where somebody has to be waited for.
    template <typename Call>
    auto alone(Call call) {
        std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock) {
            py::gil_scoped_release without_gil;
            lock.lock();
        }
        return with_turns(0, call);
    }
    template <typename Call>
    auto with_turns(std::size_t from, Call& call) -> decltype(call()) {
        if (from == members_.size()) return call();
        const auto state = members_[from].state;
        return state->turns.alone([&] { return with_turns(from + 1, call); });
    }
    WaitSet& set() {
        if (!set_) throw Exception(Condition::closed);
        return *set_;
    }

  public:
    PyWaitSet() : set_(value(WaitSet::create())) {}
    ~PyWaitSet() { close(); }
    PyWaitSet(const PyWaitSet&) = delete;
    PyWaitSet& operator=(const PyWaitSet&) = delete;

    // `token` stands for the consumer in what try_wait answers.
    void add(py::handle consumer, std::uint64_t token) {
        const auto state = state_of(consumer);
        // Before its turn is waited for, which a set has that it is in.
        if (state->in_set) {
            throw Exception(Error(Condition::invalid_argument,
                                  "the consumer is in a wait set already: it is in one at a time"));
        }
        state->in_set = true;
        try {
            alone([&] {
                state->turns.briefly([&](Consumer& handle) {
                    value(set().add(handle));
                    members_.push_back({state, &handle, token});
                });
            });
        } catch (...) {
            state->in_set = false;
            throw;
        }
    }

    void remove(std::uint64_t token) {
        alone([&] {
            const auto found =
                std::find_if(members_.begin(), members_.end(),
                             [&](const Member& each) { return each.token == token; });
            if (found == members_.end())
                throw Exception(
                    Error(Condition::invalid_argument, "the consumer is not in this wait set"));
            value(set().remove(*found->handle));
            found->state->in_set = false;
            members_.erase(found);
        });
    }

    std::vector<std::uint64_t> try_wait() {
        return alone([&] {
            std::vector<std::uint64_t> told;
            for (const Consumer* consumer : value(set().try_wait())) {
                for (const Member& each : members_) {
                    if (each.handle == consumer) told.push_back(each.token);
                }
            }
            return told;
        });
    }

    bool all_at_limit() {
        return alone([&] {
            return std::all_of(members_.begin(), members_.end(), [](const Member& each) {
                return each.handle->in_flight() >= each.handle->in_flight_limit();
            });
        });
    }

    int descriptor() {
        return alone([&] { return value(set().descriptor()); });
    }

    std::size_t size() {
        return alone([&] { return set_ ? set_->size() : 0; });
    }

    void close() {
        alone([&] {
            set_.reset();
            for (const Member& each : members_)
                each.state->in_set = false;
            members_.clear();
        });
    }

  private:
    ForkSafeMutex mutex_;
    std::vector<Member> members_;
    std::optional<WaitSet> set_;
};

}  // namespace

void bind_wait_set(py::module_& module) {
    py::class_<PyWaitSet>(module, "WaitSet")
        .def(py::init<>())
        .def("_add", &PyWaitSet::add)
        .def("_remove", &PyWaitSet::remove)
        .def("_try_wait", &PyWaitSet::try_wait)
        .def("_all_at_limit", &PyWaitSet::all_at_limit)
        .def("descriptor", &PyWaitSet::descriptor)
        .def("__len__", &PyWaitSet::size)
        .def("_close", &PyWaitSet::close);
}

}  // namespace shmq::python
