#include <shmq/client.hpp>

#include "c/handles.hpp"
#include "c/queue.hpp"
#include "c/translate.hpp"

using namespace shmq::c;

namespace {

struct OwnedDaemonInfo : shmq_daemon_info {
    explicit OwnedDaemonInfo(shmq::DaemonInfo&& from)
        : shmq_daemon_info{}, source(std::move(from)) {
        pid = source.pid;
        version = source.version.c_str();
        socket = source.socket.c_str();
        queues = source.queues;
        sessions = source.sessions;
        uptime_ns = source.uptime.count();
        deaths = source.deaths;
        reclaimed = source.reclaimed;
        restarts = source.restarts;
        adopted = source.adopted;
        state_directory = source.state_directory.c_str();
        alarm = source.alarm.c_str();
        recovering = source.recovering;
    }
    OwnedDaemonInfo(const OwnedDaemonInfo&) = delete;
    OwnedDaemonInfo& operator=(const OwnedDaemonInfo&) = delete;

    shmq::DaemonInfo source;
};

shmq::Result<shmq::ConnectOptions> connect_options(const shmq_connect_options* options) {
    const auto read = read_options(options);
    if (!read) return read.error();
    shmq::ConnectOptions to;
    if (read->socket != nullptr) to.socket = read->socket;
    to.start_daemon = read->no_start == 0;
    if (read->timeout_ns < 0) {
        return shmq::Error(shmq::Condition::invalid_argument, "timeout_ns is below 0");
    }
    if (read->timeout_ns != 0) {
        to.timeout = std::chrono::ceil<std::chrono::milliseconds>(
            std::chrono::nanoseconds(read->timeout_ns));
    }
    return to;
}

using Maker = shmq::Result<void> (shmq::Client::*)(std::string_view, const shmq::QueueOptions&);

shmq_code make_queue(Maker maker, shmq_client* client, const char* queue,
                     const shmq_queue_options* options) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    return guarded([&] {
        const auto read = from_c(options);
        if (!read) return fail(read.error());
        return code_of((client->client.*maker)(queue, *read));
    });
}

using Pauser = shmq::Result<void> (shmq::Client::*)(std::string_view, shmq::Side);

shmq_code pause_queue(Pauser pauser, shmq_client* client, const char* queue,
                      const shmq_side& side) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    return guarded([&] {
        if (number_of(side) > SHMQ_SIDE_CONSUMERS) {
            return fail(shmq::Error(shmq::Condition::invalid_argument, "there is no such side"));
        }
        return code_of((client->client.*pauser)(queue, static_cast<shmq::Side>(side)));
    });
}

}  // namespace

shmq_code shmq_connect(const shmq_connect_options* options, shmq_client** client) noexcept {
    if (client == nullptr) return fail_null("the place for the client");
    return guarded([&] {
        const auto read = connect_options(options);
        if (!read) return fail(read.error());
        auto connected = shmq::Client::connect(*read);
        if (!connected) return fail(connected.error());
        *client = new shmq_client{std::move(connected).value()};
        return SHMQ_OK;
    });
}

void shmq_client_close(shmq_client* client) noexcept {
    delete client;
}

shmq_code shmq_declare(shmq_client* client, const char* queue,
                       const shmq_queue_options* options) noexcept {
    return make_queue(&shmq::Client::declare, client, queue, options);
}

shmq_code shmq_create(shmq_client* client, const char* queue,
                      const shmq_queue_options* options) noexcept {
    return make_queue(&shmq::Client::create, client, queue, options);
}

shmq_code shmq_remove(shmq_client* client, const char* queue, int force) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    return code_of(client->client.remove(queue, force != 0));
}

shmq_code shmq_purge(shmq_client* client, const char* queue, uint64_t* purged) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    const auto done = client->client.purge(queue);
    if (done && purged != nullptr) *purged = *done;
    return code_of(done);
}

shmq_code shmq_edit(shmq_client* client, const char* queue,
                    const shmq_queue_changes* changes) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    if (changes == nullptr) return fail_null("what to change");
    return guarded([&] {
        const auto read = from_c(changes);
        if (!read) return fail(read.error());
        return code_of(client->client.edit(queue, *read));
    });
}

shmq_code shmq_pause(shmq_client* client, const char* queue, shmq_side side) noexcept {
    return pause_queue(&shmq::Client::pause, client, queue, side);
}

shmq_code shmq_resume(shmq_client* client, const char* queue, shmq_side side) noexcept {
    return pause_queue(&shmq::Client::resume, client, queue, side);
}

shmq_code shmq_info(shmq_client* client, const char* queue, shmq_queue_info** info) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (queue == nullptr) return fail_null("the queue's name");
    if (info == nullptr) return fail_null("the place for the info");
    return guarded([&] {
        auto described = client->client.describe(queue);
        if (described) *info = to_c(std::move(described).value());
        return code_of(described);
    });
}

shmq_code shmq_list(shmq_client* client, shmq_queue_list** list) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (list == nullptr) return fail_null("the place for the list");
    return guarded([&] {
        auto listed = client->client.list();
        if (listed) *list = to_c(std::move(listed).value());
        return code_of(listed);
    });
}

shmq_code shmq_status(shmq_client* client, shmq_daemon_info** info) noexcept {
    if (client == nullptr) return fail_null("the client");
    if (info == nullptr) return fail_null("the place for the info");
    return guarded([&] {
        auto status = client->client.status();
        if (status) *info = new OwnedDaemonInfo(std::move(status).value());
        return code_of(status);
    });
}

void shmq_daemon_info_free(shmq_daemon_info* info) noexcept {
    delete static_cast<OwnedDaemonInfo*>(info);
}
