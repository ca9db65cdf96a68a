// The client for Python: its calls wait for the daemon without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include <shmq/client.hpp>

namespace shmq::python {

namespace py = pybind11;

template <typename Call>
auto without_gil(Call call) {
    py::gil_scoped_release released;
    return call();
}

class PyClient {
  public:
    PyClient(const std::string& socket, bool start_daemon, std::int64_t timeout_ns);

    // Closing does not take it from a call under way.
    std::shared_ptr<Client> shared() const {
        if (!client_) throw Exception(Condition::closed);
        return client_;
    }
    void close() {
        const auto last = std::move(client_);
        client_ = nullptr;
    }
    bool closed() const { return client_ == nullptr; }

  private:
    std::shared_ptr<Client> client_;
};

void bind_client(py::module_& module);

}  // namespace shmq::python
