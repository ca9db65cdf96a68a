#include "e2e/chaos/books.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace shmq::chaos {

Books& Books::create() {
    void* memory =
        ::mmap(nullptr, sizeof(Books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        std::exit(1);
    }
    return *static_cast<Books*>(memory);
}

Totals add_up(const Books& books) {
    Totals totals;
    for (std::uint32_t producer = 0; producer < producers_most; ++producer) {
        for (std::uint32_t index = 0; index < books.next[producer]; ++index) {
            const std::uint8_t marks = books.marks[producer][index];
            const bool was_sent = (marks & sent) != 0;
            const bool was_delivered = (marks & delivered) != 0;
            const bool was_acked = (marks & (acking | acked)) != 0;
            totals.sent += was_sent;
            totals.unfinished += !was_sent;
            totals.delivered += was_delivered;
            totals.acked += was_acked;
            totals.recovered += !was_sent && was_delivered;
            totals.lost += was_sent && !was_delivered;
            totals.unacked += was_sent && was_delivered && !was_acked;
        }
    }
    return totals;
}

std::string describe(const Totals& totals, const Books& books) {
    const auto line = [](const char* name, std::uint64_t count) {
        return std::string("  ") + name + std::to_string(count) + "\n";
    };
    return line("sent                ", totals.sent) +
           line("unfinished sends    ", totals.unfinished) +
           line("delivered           ", totals.delivered) +
           line("acked               ", totals.acked) +
           line("deliveries          ", books.deliveries) +
           line("duplicated          ", books.duplicates) +
           line("  without the mark  ", books.unmarked_duplicates) +
           line("  after their ack   ", books.after_ack) +
           line("recovered           ", totals.recovered) +
           line("nacks               ", books.nacks) + line("stale verbs         ", books.stale) +
           line("never acked         ", totals.unacked) + line("lost                ", totals.lost);
}

}  // namespace shmq::chaos
