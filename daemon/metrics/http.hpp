// Serves the page of numbers over plain HTTP: GET /metrics on a Unix socket or a loopback port. One
// request a connection, in the daemon's own loop, never blocking it. Whoever can connect sees the
// names of all queues; nothing can be changed here.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "daemon/io/io.hpp"
#include "daemon/timers.hpp"

namespace shmq::daemon {

// Empty if metrics can be served there: "unix:/PATH", "127.0.0.1:PORT", "[::1]:PORT".
std::string check_metrics_address(const std::string& address);

class MetricsServer {
  public:
    // `page`: makes the text.
    MetricsServer(Io& io, Timers& timers, std::function<std::string()> page)
        : io_(io), timers_(timers), page_(std::move(page)) {}
    ~MetricsServer() { stop(); }
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    // Listens there from now on, and nowhere else; empty: nowhere. What is wrong, or nothing.
    std::string listen(const std::string& address);
    void stop();
    // Destroys what has ended. REQUIRES: no handler is running.
    void bury() { ended_.clear(); }

  private:
    struct Connection {
        Fd socket;
        Source source;
        Timer timer;
        std::string request;
        std::string answer;
        std::size_t sent_bytes = 0;
        std::list<std::unique_ptr<Connection>>::iterator place;
    };

    Progress on_connection();
    void admit(Fd socket);
    Progress on_ready(Connection& connection);
    Progress read(Connection& connection);
    Progress write(Connection& connection);
    void end(Connection& connection);
    std::string answer_to(const std::string& request);
    const std::string& page();

    Io& io_;
    Timers& timers_;
    std::function<std::string()> page_;
    std::string address_;
    std::string path_;  // of a Unix socket, to be unlinked
    Fd listening_;
    Source source_;
    std::string last_page_;
    Nanoseconds last_page_at_ = 0;
    std::list<std::unique_ptr<Connection>> connections_;
    std::list<std::unique_ptr<Connection>> ended_;
};

}  // namespace shmq::daemon
