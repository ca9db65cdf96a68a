#include "daemon/catalogue.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace shmq::daemon {

bool Catalogue::create() {
    file_ = Fd(::memfd_create(catalogue_memory_name, MFD_CLOEXEC));
    if (!file_ || ::fchmod(file_.get(), 0600) != 0) return false;
    next_serial_ = 1;
    end_ = 1;
    vacant_.clear();
    const CatalogueHeader header{catalogue_magic, catalogue_place_bytes, 0};
    return ::pwrite(file_.get(), &header, sizeof header, 0) == sizeof header;
}

bool Catalogue::adopt(Fd file, std::vector<CatalogueEntry>& entries) {
    const std::uint32_t end = file ? catalogue_places(file.get()) : 0;
    if (end == 0) return false;
    file_ = std::move(file);
    end_ = end;
    for (std::uint32_t place = 1; place < end_; ++place) {
        if (auto entry = read_catalogue_entry(file_.get(), place)) {
            next_serial_ = std::max(next_serial_, entry->serial + 1);
            entries.push_back(std::move(*entry));
        } else {
            vacant_.insert(place);
        }
    }
    return true;
}

// One write, within a page: a kill does not cut it in two; should it all the same, the checksum
// tells.
std::uint32_t Catalogue::add(std::uint64_t memory, std::string_view text) {
    if (text.empty() || text.size() > catalogue_text_max_bytes) {
        errno = E2BIG;
        return 0;
    }
    const std::uint32_t place = vacant_.empty() ? end_ : *vacant_.begin();
    CatalogueHead head{.used = 1,
                       .length = static_cast<std::uint32_t>(text.size()),
                       .serial = next_serial_,
                       .memory = memory,
                       .checksum = 0};
    head.checksum = catalogue_checksum(head, text);
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes += text;
    if (::pwrite(file_.get(), bytes.data(), bytes.size(), catalogue_offset(place)) !=
        static_cast<ssize_t>(bytes.size())) {
        return 0;
    }
    next_serial_ += 1;
    if (place == end_) {
        end_ += 1;
    } else {
        vacant_.erase(place);
    }
    return place;
}

// The memory of the places goes back once all of them are vacant.
void Catalogue::erase(std::uint32_t place) {
    if (place == 0) return;
    const CatalogueHead vacant{};
    // An entry that stays keeps its place: a successor finds no memory for it, and tries again.
    if (::pwrite(file_.get(), &vacant, sizeof vacant, catalogue_offset(place)) != sizeof vacant)
        return;
    vacant_.insert(place);
    if (vacant_.size() + 1 < end_) return;
    if (::ftruncate(file_.get(), catalogue_offset(1)) != 0) return;
    end_ = 1;
    vacant_.clear();
}

}  // namespace shmq::daemon
