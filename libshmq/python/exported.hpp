// Memory of a message or a loan as Python sees it: through the buffer protocol, without a copy. As
// long as a view of it is in use, the object that owns the memory is not ended: that raises
// BufferError. The view that `data` hands out is released by itself; what was made from it is not.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

namespace shmq::python {

namespace py = pybind11;

class Exported {
  public:
    virtual ~Exported() = default;

    // The one view of `data`; made anew once it was released.
    py::object view(py::handle self);
    // Releases that view. BufferError while anything made from the memory is in use.
    void end_views();
    std::size_t exports() const { return exports_; }

    virtual void* memory() = 0;
    virtual std::size_t size() const = 0;
    virtual bool writable() const = 0;
    virtual const char* why_ended() const = 0;  // nullptr: it has not

  private:
    friend int get_buffer(PyObject* self, Py_buffer* view, int flags);
    friend void release_buffer(PyObject* self, Py_buffer* view);

    std::size_t exports_ = 0;
    py::object view_;  // a weak reference: the view itself holds its owner
};

int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);

inline py::custom_type_setup buffer_setup() {
    return py::custom_type_setup([](PyHeapTypeObject* type) {
        type->as_buffer.bf_getbuffer = get_buffer;
        type->as_buffer.bf_releasebuffer = release_buffer;
        type->ht_type.tp_as_buffer = &type->as_buffer;
    });
}

}  // namespace shmq::python
