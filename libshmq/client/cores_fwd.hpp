// What Client needs of the cores before cores.hpp is there.
#pragma once

#include <memory>
#include <string_view>

#include <shmq/client.hpp>

namespace shmq {

class ProducerCore {
  public:
    static Result<ProducerCore*> open(std::shared_ptr<Session> session,
                                      std::string_view name) noexcept;
};

class ConsumerCore {
  public:
    static Result<ConsumerCore*> open(std::shared_ptr<Session> session, std::string_view name,
                                      const ConsumerOptions& options) noexcept;
};

}  // namespace shmq
