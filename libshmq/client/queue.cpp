#include <shmq/queue.hpp>

#include "wire/control.hpp"

namespace shmq {

std::string check_queue_name(std::string_view name) {
    return wire::check_name(name);
}

}  // namespace shmq
