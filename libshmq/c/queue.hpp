// Queue options and infos between the two APIs.
#pragma once

#include <vector>

#include <shmq/shmq.h>
#include <shmq/queue.hpp>

namespace shmq::c {

// May throw std::bad_alloc, as all of these.
Result<QueueOptions> from_c(const shmq_queue_options* options);
Result<QueueChanges> from_c(const shmq_queue_changes* changes);
shmq_queue_info* to_c(QueueInfo&& info);
shmq_queue_list* to_c(std::vector<QueueInfo>&& infos);

}  // namespace shmq::c
