// shmq._shmq: the native half of the Python package. Its names are completed, documented and given
// defaults by shmq/__init__.py; times are nanoseconds here, below 0 for ever.
#include <pybind11/pybind11.h>

#include <shmq/client.hpp>

#include "python/client.hpp"
#include "python/consumer.hpp"
#include "python/convert.hpp"
#include "python/producer.hpp"
#include "python/wait_set.hpp"

PYBIND11_MODULE(_shmq, module) {
    using namespace shmq::python;
    py::register_exception_translator([](std::exception_ptr failure) {
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const shmq::Exception& known) {
            raise_as_python(known);
        }
    });
    module.def("version", &shmq::version);
    module.def("check_queue_name",
               [](const std::string& name) { return shmq::check_queue_name(name); });
    bind_client(module);
    bind_consumer(module);
    bind_producer(module);
    bind_wait_set(module);
}
