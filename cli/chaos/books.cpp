#include "cli/chaos/books.hpp"

#include <sys/mman.h>

#include <new>

namespace shmq::chaos {

Books& Books::create(std::uint32_t producers, std::uint32_t messages_most) {
    const std::size_t bytes = sizeof(Books) + std::size_t{producers} * messages_most;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    Books& books = *static_cast<Books*>(memory);
    books.messages_most = messages_most;
    books.first_mark = reinterpret_cast<std::atomic<std::uint8_t>*>(&books + 1);
    return books;
}

Totals add_up(const Books& books) {
    Totals totals;
    for (std::uint32_t producer = 0; producer < producers_most; ++producer) {
        for (std::uint32_t index = 0; index < books.next[producer]; ++index) {
            const std::uint8_t marks = books.marks(producer, index);
            const bool was_confirmed = (marks & sent) != 0;
            const bool was_delivered = (marks & delivered) != 0;
            const bool was_acked = (marks & (acking | acked)) != 0;
            totals.sent += (marks & sending) != 0;
            totals.confirmed += was_confirmed;
            totals.unfinished += !was_confirmed;
            totals.delivered += was_delivered;
            totals.acked += was_acked;
            totals.recovered += !was_confirmed && was_delivered;
            totals.lost += was_confirmed && !was_delivered;
            totals.unacked += was_confirmed && was_delivered && !was_acked;
        }
    }
    return totals;
}

std::string describe(const Totals& totals, const Books& books) {
    const auto line = [](const char* name, std::uint64_t count) {
        return std::string("  ") + name + std::to_string(count) + "\n";
    };
    return line("sent                ", totals.sent) +
           line("confirmed           ", totals.confirmed) +
           line("unfinished sends    ", totals.unfinished) +
           line("delivered           ", totals.delivered) +
           line("acked               ", totals.acked) +
           line("deliveries          ", books.deliveries) +
           line("duplicated          ", books.duplicates) +
           line("  without the mark  ", books.unmarked_duplicates) +
           line("  after their ack   ", books.after_ack) +
           line("recovered           ", totals.recovered) +
           line("nacks               ", books.nacks) + line("stale verbs         ", books.stale) +
           line("errors              ", books.errors) +
           line("never acked         ", totals.unacked) + line("lost                ", totals.lost);
}

}  // namespace shmq::chaos
