#include "daemon/journal/read_ahead.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"

namespace shmq::journal {
namespace {

// A few fit a core's cache: the kernel's copy is still there when it is looked at.
constexpr std::uint64_t piece_bytes = 256 * 1024;
// Free bytes in front take the rest of the piece before: what straddles two of them.
constexpr std::uint64_t head_max_bytes = 256 * 1024;
constexpr std::uint64_t step_max_bytes = std::uint64_t{4} << 20;
// What one unreadable place costs of its neighbourhood.
constexpr std::uint64_t careful_bytes = 512;

}  // namespace

// Grows with what it is used for, shrinks after something larger than usual.
void ReadAhead::Buffer::make_room(std::size_t bytes) {
    constexpr std::size_t usual = piece_bytes + head_max_bytes;
    if (memory.size() >= bytes && memory.size() <= std::max(bytes, usual)) return;
    memory = {};  // before there is another
    memory.resize(bytes < usual ? std::bit_ceil(bytes) : bytes);
}

void ReadAhead::open(std::shared_ptr<File> file) {
    next_->owner = nullptr;
    next_ = std::make_shared<Reading>();
    next_->owner = this;
    next_->file = std::move(file);
    front_.begin = front_.end = limit_ = 0;
    front_.error.clear();
    step_bytes_ = step_max_bytes;
}

std::optional<std::span<const std::byte>> ReadAhead::bytes(std::uint64_t from, std::uint64_t to) {
    SHMQ_CHECK(from < to && to <= limit_);
    const auto here = [&] { return from >= front_.begin && to <= front_.end; };
    if (!here() && !next_->busy) join(from);
    const std::uint64_t held = front_.end > from ? front_.end - from : 0;
    const std::uint64_t next = held != 0 ? front_.end : from;
    if (!next_->busy && next_->buffer.size() == 0 && next < limit_) {
        const std::uint64_t goal = std::min(limit_, std::max(to, next + piece_bytes));
        start(next, goal, here() ? std::min(held, head_max_bytes) : held);
    }
    if (!here()) return std::nullopt;
    return std::span(front_.at(from), held);
}

void ReadAhead::start(std::uint64_t from, std::uint64_t to, std::size_t head) {
    Buffer& buffer = next_->buffer;
    buffer.make_room(head + (to - from));
    buffer.head = head;
    buffer.begin = buffer.end = from;
    buffer.error.clear();
    next_->goal = to;
    next_->busy = true;
    step();
}

void ReadAhead::step() {
    Buffer& buffer = next_->buffer;
    // Up to a boundary, so that a sector that cannot be read costs nobody else.
    const std::uint64_t boundary = (buffer.end + step_bytes_) / careful_bytes * careful_bytes;
    const std::uint64_t asked = std::min(boundary, next_->goal) - buffer.end;
    disk_.read(*next_->file, buffer.end, std::span(buffer.at(buffer.end), asked),
               [reading = next_, asked](std::int64_t result) {
                   if (reading->owner != nullptr) reading->owner->meet(asked, result);
               });
}

void ReadAhead::meet(std::uint64_t asked, std::int64_t result) {
    Buffer& buffer = next_->buffer;
    const auto fill = [&buffer](std::uint64_t count) {
        std::memset(buffer.at(buffer.end), 0, count);
        buffer.end += count;
    };
    if (result > 0) {
        buffer.end += static_cast<std::uint64_t>(result);
        step_bytes_ = std::min(step_bytes_ * 2, step_max_bytes);
    } else if (result == 0) {
        fill(next_->goal - buffer.end);
        buffer.error = "the file ends too early";
    } else if (asked > careful_bytes) {
        step_bytes_ = std::max(asked / 2, careful_bytes);
    } else {
        fill(asked);
        buffer.error = std::string("cannot be read: ") + std::strerror(static_cast<int>(-result));
    }
    if (buffer.end < next_->goal) return step();
    next_->busy = false;
    changed_();
}

// What was read becomes what is used, with the rest of what was used in front of it; unless that
// has no room, for a record turned out larger than the pieces: then it is read again.
void ReadAhead::join(std::uint64_t from) {
    Buffer& read = next_->buffer;
    const std::uint64_t held = front_.end > from ? front_.end - from : 0;
    if (read.end > from && held <= read.head) {
        read.head -= held;
        read.begin -= held;
        if (held != 0) std::memcpy(read.at(from), front_.at(from), held);
        std::swap(front_, read);
    }
    read.begin = read.end = 0;
}

}  // namespace shmq::journal
