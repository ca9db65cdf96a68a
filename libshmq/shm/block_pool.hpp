// Payload blocks by index: allocate, hand to a message, free, reclaim.
//
//   word = { generation:40 | owner:16 | state:8 }
//
// free -> loaned(P) by P's CAS, generation unchanged; loaned(P) -> in_slot by P's CAS after its
// slot was published; loaned or in_slot -> free(generation+1) by CAS: by P (loan dropped), by who
// freed the slot that referred to it (slot first, then block), or by the supervisor, which frees
// what no slot refers to: loans of the dead, and blocks in_slot whose message went. A reference
// {block, generation} is good as long as its slot holds the message: the generation moves with
// every free, so an exact CAS frees a block once, whoever comes late. Between the slot's
// publication and in_slot the message may have come and gone: the producer looks at its slot again
// afterwards and frees the block itself if the message is no longer there.
#pragma once

#include <cstdint>

#include "shm/geometry.hpp"
#include "shm/layout.hpp"

namespace shmq::shm {

enum class BlockState : std::uint8_t { free = 0, loaned = 1, in_slot = 2 };

struct BlockWord {
    std::uint64_t raw = 0;

    static constexpr BlockWord make(std::uint64_t generation, std::uint16_t owner,
                                    BlockState state) {
        return {generation << 24 | std::uint64_t{owner} << 8 | static_cast<std::uint64_t>(state)};
    }
    constexpr std::uint64_t generation() const { return raw >> 24; }
    constexpr std::uint16_t owner() const { return static_cast<std::uint16_t>(raw >> 8); }
    constexpr BlockState state() const { return static_cast<BlockState>(raw & 255); }
    constexpr BlockWord freed() const { return make(generation() + 1, 0, BlockState::free); }
    constexpr bool operator==(const BlockWord&) const = default;
};

// A block under one of its generations; what a slot refers to and a loan holds.
struct BlockHandle {
    std::uint64_t block = no_block;
    std::uint64_t generation = 0;

    static constexpr std::uint64_t no_block = UINT64_MAX;
    bool valid() const { return block != no_block; }
};

// So many blocks go round between a producer and consumers that keep up.
constexpr std::uint32_t blocks_again = 8;

class BlockPool {
  public:
    // Where this handle looks first in each class; private to a producer.
    struct Cursors {
        // Of one class: where to look, and the blocks taken last: whoever takes them again in turn
        // finds them in the caches, and a block that goes round the whole pool is found in memory.
        struct Place {
            std::uint32_t next = 0;
            std::uint32_t turn = 0;
            std::uint32_t taken[blocks_again]{};  // offset + 1; 0: none
        };
        Place places[limits::size_classes_max];
    };

    BlockPool() = default;
    BlockPool(BlockRecord* records, std::byte* pool, const Geometry& geometry)
        : records_(records), pool_(pool), geometry_(&geometry) {}

    // What a block is for: a message in the front ring, or one on its way into the journal
    // (Geometry::first_journal_block).
    enum class Part { front, journal };
    // A block of at least `bytes` for `owner`: of the fitting class, else of a larger one.
    // Invalid if none is free.
    BlockHandle allocate(std::uint64_t bytes, std::uint16_t owner, Cursors& cursors,
                         Part part = Part::front);
    Part part_of(std::uint64_t block) const;
    // loaned(owner) -> in_slot. False if it is no longer ours: its message is done already.
    bool hand_over(BlockHandle handle, std::uint16_t owner) {
        return change(handle.block, BlockWord::make(handle.generation, owner, BlockState::loaned),
                      BlockWord::make(handle.generation, 0, BlockState::in_slot));
    }
    // Whatever holds the block under this generation no longer does. False: freed before.
    bool free(BlockHandle handle);

    // Null if the pool is not mapped or the handle is out of bounds (a peer's bytes are input).
    std::byte* data(BlockHandle handle) const;
    std::uint64_t block_bytes(std::uint64_t block) const;  // 0 if out of bounds
    std::uint64_t count() const { return geometry_ == nullptr ? 0 : geometry_->block_count; }
    BlockWord word(std::uint64_t block) const {
        return {records_[block].word.load(memory_order_acquire)};  // [7]
    }
    // seq_cst: room for a sleeping producer may come of it; see wait.hpp. [7]
    bool change(std::uint64_t block, BlockWord from, BlockWord to) {
        std::uint64_t expected = from.raw;
        return records_[block].word.compare_exchange_strong(expected, to.raw, memory_order_seq_cst,
                                                            memory_order_relaxed);
    }

  private:
    const SizeClass* class_of(std::uint64_t block) const;
    BlockHandle allocate_in(const SizeClass& size_class, std::uint32_t first, std::uint32_t end,
                            std::uint16_t owner, Cursors::Place& place);
    BlockHandle take(const SizeClass& size_class, std::uint32_t offset, std::uint16_t owner);

    BlockRecord* records_ = nullptr;
    std::byte* pool_ = nullptr;
    const Geometry* geometry_ = nullptr;
};

}  // namespace shmq::shm
