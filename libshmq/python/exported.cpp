#include "python/exported.hpp"

namespace shmq::python {
namespace {

Exported& exported_of(PyObject* self) {
    return *py::handle(self).cast<Exported*>();
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
    try {
        Exported& exported = exported_of(self);
        if (const char* why = exported.why_ended()) {
            PyErr_SetString(PyExc_BufferError, why);
            view->obj = nullptr;
            return -1;
        }
        const int filled = PyBuffer_FillInfo(view, self, exported.memory(),
                                             static_cast<Py_ssize_t>(exported.size()),
                                             !exported.writable(), flags);
        if (filled == 0) ++exported.exports_;
        return filled;
    } catch (const py::cast_error&) {
        PyErr_SetString(PyExc_BufferError, "this object was not initialised");
        view->obj = nullptr;
        return -1;
    }
}

void release_buffer(PyObject* self, Py_buffer*) {
    --exported_of(self).exports_;
}

py::object Exported::view(py::handle self) {
    if (view_) {
        py::object kept = view_();
        if (!kept.is_none()) return kept;
    }
    auto made = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(self.ptr()));
    if (!made) throw py::error_already_set();
    view_ = py::reinterpret_steal<py::object>(PyWeakref_NewRef(made.ptr(), nullptr));
    return made;
}

void Exported::end_views() {
    if (exports_ == 0) return;
    if (view_) {
        py::object kept = view_();
        view_ = py::object();
        if (!kept.is_none()) kept.attr("release")();
    }
    if (exports_ == 0) return;
    PyErr_SetString(PyExc_BufferError,
                    "views of this memory are in use: release them first, or copy with bytes()");
    throw py::error_already_set();
}

}  // namespace shmq::python
