#include "python/client.hpp"

#include "python/convert.hpp"

namespace shmq::python {

PyClient::PyClient(const std::string& socket, bool start_daemon, std::int64_t timeout_ns) {
    ConnectOptions options;
    options.socket = socket;
    options.start_daemon = start_daemon;
    options.timeout =
        std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(timeout_ns));
    client_ =
        std::make_shared<Client>(value(without_gil([&] { return Client::connect(options); })));
}

void bind_client(py::module_& module) {
    py::class_<PyClient>(module, "Client")
        .def(py::init<const std::string&, bool, std::int64_t>())
        .def("_make",
             [](PyClient& self, const std::string& queue, bool must_be_new, const py::dict& given) {
                 const auto options = to_options(given);
                 value(without_gil([&, client = self.shared()] {
                     return must_be_new ? client->create(queue, options)
                                        : client->declare(queue, options);
                 }));
             })
        .def("_remove",
             [](PyClient& self, const std::string& queue, bool force) {
                 value(without_gil(
                     [&, client = self.shared()] { return client->remove(queue, force); }));
             })
        .def("_purge",
             [](PyClient& self, const std::string& queue) {
                 return value(
                     without_gil([&, client = self.shared()] { return client->purge(queue); }));
             })
        .def("_edit",
             [](PyClient& self, const std::string& queue, const py::dict& given) {
                 const auto changes = to_changes(given);
                 value(without_gil(
                     [&, client = self.shared()] { return client->edit(queue, changes); }));
             })
        .def("_pause",
             [](PyClient& self, const std::string& queue, const std::string& name, bool pause) {
                 const Side side = to_side(name);
                 value(without_gil([&, client = self.shared()] {
                     return pause ? client->pause(queue, side) : client->resume(queue, side);
                 }));
             })
        .def("_info",
             [](PyClient& self, const std::string& queue) {
                 return to_dict(value(
                     without_gil([&, client = self.shared()] { return client->describe(queue); })));
             })
        .def("_list",
             [](PyClient& self) {
                 const auto infos =
                     value(without_gil([client = self.shared()] { return client->list(); }));
                 py::list all;
                 for (const QueueInfo& info : infos)
                     all.append(to_dict(info));
                 return all;
             })
        .def("_status",
             [](PyClient& self) {
                 return to_dict(
                     value(without_gil([client = self.shared()] { return client->status(); })));
             })
        .def("close", &PyClient::close)
        .def_property_readonly("closed", &PyClient::closed);
}

}  // namespace shmq::python
