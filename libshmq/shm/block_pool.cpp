#include "shm/block_pool.hpp"

namespace shmq::shm {

BlockHandle BlockPool::allocate(std::uint64_t bytes, std::uint16_t owner, Cursors& cursors,
                                Part part) {
    for (std::uint32_t i = 0; i < geometry_->class_count; ++i) {
        const SizeClass& size_class = geometry_->classes[i];
        if (size_class.block_bytes < bytes) continue;
        const std::uint32_t boundary = geometry_->first_journal_block(size_class);
        const bool front = part == Part::front;
        const BlockHandle handle =
            allocate_in(size_class, front ? 0 : boundary, front ? boundary : size_class.block_count,
                        owner, cursors.places[i]);
        if (handle.valid()) return handle;
    }
    return {};
}

BlockPool::Part BlockPool::part_of(std::uint64_t block) const {
    const SizeClass* size_class = class_of(block);
    const bool journal = size_class != nullptr && block - size_class->first_block >=
                                                      geometry_->first_journal_block(*size_class);
    return journal ? Part::journal : Part::front;
}

// First the one that was taken longest ago of the last few. Else the next: blocks are freed about
// in the order they were taken, so it is the likeliest to be free.
BlockHandle BlockPool::allocate_in(const SizeClass& size_class, std::uint32_t first,
                                   std::uint32_t end, std::uint16_t owner, Cursors::Place& place) {
    std::uint32_t& again = place.taken[place.turn++ % blocks_again];
    if (again > first && again <= end) {
        const BlockHandle handle = take(size_class, again - 1, owner);
        if (handle.valid()) return handle;
    }
    for (std::uint32_t step = first; step < end; ++step) {
        const std::uint32_t offset = place.next >= first && place.next < end ? place.next : first;
        place.next = offset + 1;
        const BlockHandle handle = take(size_class, offset, owner);
        if (!handle.valid()) continue;
        again = offset + 1;
        return handle;
    }
    return {};
}

// Invalid: it is not free.
BlockHandle BlockPool::take(const SizeClass& size_class, std::uint32_t offset,
                            std::uint16_t owner) {
    const std::uint64_t block = std::uint64_t{size_class.first_block} + offset;
    const BlockWord present = word(block);
    if (present.state() != BlockState::free ||
        !change(block, present, BlockWord::make(present.generation(), owner, BlockState::loaned))) {
        return {};
    }
    return {block, present.generation()};
}

bool BlockPool::free(BlockHandle handle) {
    if (handle.block >= count()) return false;
    for (;;) {
        const BlockWord present = word(handle.block);
        if (present.generation() != handle.generation || present.state() == BlockState::free) {
            return false;
        }
        // Again if only loaned became in_slot meanwhile.
        if (change(handle.block, present, present.freed())) return true;
    }
}

const SizeClass* BlockPool::class_of(std::uint64_t block) const {
    if (geometry_ == nullptr) return nullptr;
    for (std::uint32_t i = 0; i < geometry_->class_count; ++i) {
        const SizeClass& size_class = geometry_->classes[i];
        if (block >= size_class.first_block &&
            block - size_class.first_block < size_class.block_count) {
            return &size_class;
        }
    }
    return nullptr;
}

std::byte* BlockPool::data(BlockHandle handle) const {
    const SizeClass* size_class = class_of(handle.block);
    if (size_class == nullptr || pool_ == nullptr) return nullptr;
    return pool_ + size_class->pool_offset +
           (handle.block - size_class->first_block) * size_class->block_bytes;
}

std::uint64_t BlockPool::block_bytes(std::uint64_t block) const {
    const SizeClass* size_class = class_of(block);
    return size_class == nullptr ? 0 : size_class->block_bytes;
}

}  // namespace shmq::shm
