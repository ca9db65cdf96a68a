// Between Python's values and libshmq's.
#pragma once

#include <pybind11/pybind11.h>

#include <shmq/client.hpp>

namespace shmq::python {

namespace py = pybind11;

// Throws shmq::Exception, which becomes the Python exception of that condition.
template <typename T>
decltype(auto) value(Result<T> result) {
    return value_or_throw(std::move(result));
}
void raise_as_python(const Exception& failure);

QueueOptions to_options(const py::dict& from);
QueueChanges to_changes(const py::dict& from);
Side to_side(const std::string& name);
py::dict to_dict(const QueueInfo& from);
py::dict to_dict(const DaemonInfo& from);
py::dict to_dict(const DeadLetter& from);
Durability to_durability(const std::string& name);

// The bytes of any object with a buffer, or of a str as UTF-8, for as long as this lives.
class Payload {
  public:
    explicit Payload(py::handle from);
    ~Payload() { PyBuffer_Release(&buffer_); }
    Payload(Payload&& other) noexcept
        : buffer_(other.buffer_), bytes_(other.bytes_), text_(std::move(other.text_)) {
        other.buffer_.obj = nullptr;
    }
    Payload& operator=(Payload&&) = delete;

    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    Py_buffer buffer_{};
    std::span<const std::byte> bytes_;
    py::object text_;
};

}  // namespace shmq::python
