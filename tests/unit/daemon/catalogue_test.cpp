// The catalogue as a daemon finds it that was killed while it wrote, whatever it had written.
#include "daemon/catalogue.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "daemon/definition.hpp"
#include "daemon/numbers.hpp"

namespace shmq::daemon {
namespace {

Fd copy_of(int fd) {
    Fd copy(::memfd_create("copy", MFD_CLOEXEC));
    char bytes[4096];
    off_t offset = 0;
    for (ssize_t count = 0; (count = ::pread(fd, bytes, sizeof bytes, offset)) > 0; offset += count)
        EXPECT_EQ(::pwrite(copy.get(), bytes, static_cast<std::size_t>(count), offset), count);
    return copy;
}

std::vector<CatalogueEntry> entries_of(int fd) {
    Catalogue catalogue;
    std::vector<CatalogueEntry> entries;
    EXPECT_TRUE(catalogue.adopt(copy_of(fd), entries));
    return entries;
}

std::vector<std::string> texts_of(int fd) {
    std::vector<std::string> texts;
    for (const CatalogueEntry& entry : entries_of(fd))
        texts.push_back(entry.text);
    return texts;
}

std::uint64_t blocks_of(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks);
}

using Texts = std::vector<std::string>;

TEST(Catalogue, has_what_was_added_and_not_erased) {
    Catalogue catalogue;
    ASSERT_TRUE(catalogue.create());
    EXPECT_EQ(texts_of(catalogue.fd()), Texts{});
    const std::uint32_t first = catalogue.add(7, "first");
    const std::uint32_t second = catalogue.add(8, std::string(catalogue_text_max_bytes, 's'));
    const std::string longest(catalogue_text_max_bytes, 's');
    EXPECT_EQ(texts_of(catalogue.fd()), (Texts{"first", longest}));
    catalogue.erase(first);
    EXPECT_EQ(texts_of(catalogue.fd()), Texts{longest});
    EXPECT_EQ(catalogue.add(9, "third"), first) << "a vacant place is used again";
    const auto entries = entries_of(catalogue.fd());
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0].place, first);
    EXPECT_EQ(entries[0].memory, 9u);
    EXPECT_EQ(entries[1].place, second);
    EXPECT_EQ(entries[1].memory, 8u);
    EXPECT_GT(entries[0].serial, entries[1].serial) << "the one that was added later";
}

TEST(Catalogue, a_successors_entries_are_later_than_all_that_it_found) {
    Catalogue first;
    ASSERT_TRUE(first.create());
    first.add(1, "a");
    first.add(1, "b");
    const std::uint64_t before = entries_of(first.fd()).back().serial;
    Catalogue second;
    std::vector<CatalogueEntry> entries;
    ASSERT_TRUE(second.adopt(copy_of(first.fd()), entries));
    const std::uint32_t place = second.add(1, "c");
    EXPECT_EQ(place, 3u);
    EXPECT_GT(entries_of(second.fd()).back().serial, before);
}

TEST(Catalogue, gives_its_memory_back_once_it_is_empty) {
    Catalogue catalogue;
    ASSERT_TRUE(catalogue.create());
    const std::uint64_t empty = blocks_of(catalogue.fd());
    std::vector<std::uint32_t> places;
    for (std::uint64_t number = 1; number <= 1000; ++number)
        places.push_back(catalogue.add(number, "text"));
    EXPECT_GT(blocks_of(catalogue.fd()), 100 * empty);
    for (const std::uint32_t place : places)
        catalogue.erase(place);
    EXPECT_EQ(blocks_of(catalogue.fd()), empty);
    EXPECT_EQ(catalogue.add(1, "again"), 1u);
    EXPECT_EQ(texts_of(catalogue.fd()), Texts{"again"});
}

TEST(Catalogue, refuses_what_does_not_fit_and_stays_as_it_was) {
    Catalogue catalogue;
    ASSERT_TRUE(catalogue.create());
    catalogue.add(1, "there");
    EXPECT_EQ(catalogue.add(2, std::string(catalogue_text_max_bytes + 1, 'x')), 0u);
    EXPECT_EQ(errno, E2BIG);
    EXPECT_EQ(texts_of(catalogue.fd()), Texts{"there"});
}

TEST(Catalogue, another_file_is_none) {
    Catalogue catalogue;
    std::vector<CatalogueEntry> entries;
    EXPECT_FALSE(catalogue.adopt(Fd(), entries));
    EXPECT_FALSE(catalogue.adopt(Fd(::memfd_create("empty", MFD_CLOEXEC)), entries));
    for (const std::size_t byte : {0u, 7u, 8u, 11u}) {
        Catalogue other;
        ASSERT_TRUE(other.create());
        char value = 0;
        ASSERT_EQ(::pread(other.fd(), &value, 1, static_cast<off_t>(byte)), 1);
        value = static_cast<char>(value ^ 1);
        ASSERT_EQ(::pwrite(other.fd(), &value, 1, static_cast<off_t>(byte)), 1);
        EXPECT_FALSE(catalogue.adopt(copy_of(other.fd()), entries)) << byte;
    }
}

// What a write left that was cut off at any byte, over a place that was never used, and over one
// whose entry was longer, or shorter.
TEST(Catalogue, an_entry_half_written_is_none_and_harms_no_other) {
    const std::string text = "the one that is written: " + std::string(60, 'w');
    for (const std::size_t length_before : {0u, 20u, 500u}) {
        Catalogue catalogue;
        ASSERT_TRUE(catalogue.create());
        catalogue.add(1, "before");
        const std::uint32_t place =
            catalogue.add(2, length_before == 0 ? "x" : std::string(length_before, 'o'));
        catalogue.add(3, "behind");
        catalogue.erase(place);
        if (length_before == 0) {
            const std::string zeros(catalogue_place_bytes, '\0');
            ASSERT_GT(::pwrite(catalogue.fd(), zeros.data(), zeros.size(), catalogue_offset(place)),
                      0);
        }
        const Fd undisturbed = copy_of(catalogue.fd());
        ASSERT_EQ(catalogue.add(4, text), place);
        std::string written(sizeof(CatalogueHead) + text.size(), '\0');
        ASSERT_EQ(::pread(catalogue.fd(), written.data(), written.size(), catalogue_offset(place)),
                  static_cast<ssize_t>(written.size()));
        for (std::size_t prefix = 0; prefix <= written.size(); ++prefix) {
            SCOPED_TRACE(std::to_string(prefix) + " bytes of " + std::to_string(written.size()) +
                         " over " + std::to_string(length_before));
            const Fd cut_off = copy_of(undisturbed.get());
            ASSERT_EQ(::pwrite(cut_off.get(), written.data(), prefix, catalogue_offset(place)),
                      static_cast<ssize_t>(prefix));
            const bool whole = prefix == written.size();
            ASSERT_EQ(texts_of(cut_off.get()),
                      (whole ? Texts{"before", text, "behind"} : Texts{"before", "behind"}));
        }
    }
}

TEST(Catalogue, the_last_place_may_be_cut_off) {
    Catalogue catalogue;
    ASSERT_TRUE(catalogue.create());
    catalogue.add(1, "before");
    catalogue.add(2, "the last");
    struct stat status {};
    ASSERT_EQ(::fstat(catalogue.fd(), &status), 0);
    for (off_t end = catalogue_offset(2); end < status.st_size; ++end) {
        const Fd shorter = copy_of(catalogue.fd());
        ASSERT_EQ(::ftruncate(shorter.get(), end), 0);
        ASSERT_EQ(texts_of(shorter.get()), Texts{"before"}) << end;
    }
}

TEST(Catalogue, no_byte_of_an_entry_may_be_another) {
    Catalogue catalogue;
    ASSERT_TRUE(catalogue.create());
    const std::string text = "text";
    catalogue.add(5, text);
    for (std::size_t byte = 0; byte < sizeof(CatalogueHead) + text.size(); ++byte) {
        for (int bit = 0; bit < 8; ++bit) {
            const Fd damaged = copy_of(catalogue.fd());
            const off_t place = catalogue_offset(1) + static_cast<off_t>(byte);
            unsigned char value = 0;
            ASSERT_EQ(::pread(damaged.get(), &value, 1, place), 1);
            value = static_cast<unsigned char>(value ^ 1u << bit);
            ASSERT_EQ(::pwrite(damaged.get(), &value, 1, place), 1);
            ASSERT_EQ(texts_of(damaged.get()), Texts{}) << "byte " << byte << " bit " << bit;
        }
    }
}

// Whatever a queue may be called and be made with.
TEST(Catalogue, the_longest_definition_fits) {
    Definition definition;
    definition.name = std::string(limits::name_max_bytes, 'n');
    definition.identity = std::string(32, 'f');
    definition.ownership = {UINT32_MAX, UINT32_MAX, 07777};
    definition.ring_inode = definition.pool_inode = UINT64_MAX;
    definition.paused = {false, false};
    wire::Options& options = definition.options;
    options.capacity = options.slot_size = UINT32_MAX;
    options.max_message = options.pool = options.spill_limit = UINT64_MAX;
    options.lease_ns = options.retry_delay_ns = options.retry_delay_max_ns = INT64_MAX;
    options.overflow = wire::Overflow::drop_oldest;
    options.when_full = wire::WhenFull::reject;
    options.durability = wire::Durability::accepted;
    options.in_flight = UINT32_MAX;
    options.max_deliveries = UINT32_MAX;
    options.mode = 07777;
    options.group = UINT32_MAX;
    options.exclusive_producer = options.exclusive_consumer = options.exact_timestamps = false;
    options.pause_stopped = false;
    options.dead_letter = std::string(limits::name_max_bytes, 'd');
    const std::string text = definition_text(definition);
    EXPECT_LT(text.size() + 100, catalogue_text_max_bytes) << text;
    const auto parsed = parse_kept_definition(text);
    ASSERT_TRUE(parsed) << parsed.error().reason;
    EXPECT_EQ(parsed->name, definition.name);
    EXPECT_EQ(parsed->pool_inode, UINT64_MAX);
}

TEST(Numbers, the_least_that_is_free_comes_first) {
    Numbers numbers;
    for (std::uint64_t wanted : {1u, 2u, 3u, 4u})
        EXPECT_EQ(numbers.take(), wanted);
    numbers.give_back(3);
    numbers.give_back(1);
    EXPECT_EQ(numbers.take(), 1u);
    EXPECT_EQ(numbers.take(), 3u);
    EXPECT_EQ(numbers.take(), 5u);
}

TEST(Numbers, what_a_predecessor_gave_out_is_taken) {
    Numbers numbers;
    for (const std::uint64_t there : {4u, 2u, 7u})
        numbers.reserve(there);
    for (std::uint64_t wanted : {1u, 3u, 5u, 6u, 8u})
        EXPECT_EQ(numbers.take(), wanted);
    numbers.give_back(7);
    EXPECT_EQ(numbers.take(), 7u);
}

}  // namespace
}  // namespace shmq::daemon
