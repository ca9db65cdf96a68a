// WaitSet for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace shmq::python {

void bind_wait_set(pybind11::module_& module);

}  // namespace shmq::python
