// A daemon of its own, queues, and a wait set.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <shmq/client.hpp>
#include <shmq/wait_set.hpp>
#include <string>
#include <vector>

#include "support/private_daemon.hpp"

namespace shmq {

constexpr auto watchdog = std::chrono::seconds(20);

class WaitSetContract : public testing::Test {
  protected:
    Consumer consumer(const std::string& queue, const QueueOptions& options = {}) {
        value_or_throw(client_.declare(queue, options));
        return value_or_throw(client_.consumer(queue));
    }
    void send(const std::string& queue, const std::string& text) {
        auto producer = value_or_throw(client_.producer(queue));
        value_or_throw(producer.send(text));
    }
    std::vector<Consumer*> wait() {
        const auto ready = value_or_throw(set_.wait_for(watchdog));
        return {ready.begin(), ready.end()};
    }
    bool ready_now(const Consumer& consumer) {
        const auto ready = value_or_throw(set_.try_wait());
        return std::find(ready.begin(), ready.end(), &consumer) != ready.end();
    }

    support::PrivateDaemon daemon_;
    Client client_ = value_or_throw(Client::connect({.socket = daemon_.socket()}));
    WaitSet set_ = value_or_throw(WaitSet::create());
};

}  // namespace shmq
