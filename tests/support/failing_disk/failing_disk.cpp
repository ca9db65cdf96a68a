// A disk that loses, tears and refuses, for a real file system on a loop device: one file in a FUSE
// mount, kept in memory. What was written and not flushed is kept sector by sector, in every
// version; a snapshot is what a power cut at that moment could leave.
//
//   failing_disk MOUNTPOINT BYTES     in the foreground, until SIGTERM, or its parent's end
//
// MOUNTPOINT/disk is the disk. Lines written to MOUNTPOINT/control, one a write:
//   fail write | fail flush | heal
//   snapshot SEED PATH     an image: of each sector written since the last flush any version, or
//   none
#define FUSE_USE_VERSION 31
#include <fuse3/fuse.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t sector_bytes = 512;
constexpr std::string_view disk_name = "/disk";
constexpr std::string_view control_name = "/control";

using Sector = std::vector<char>;

// One thread: fuse runs with -s.
struct Disk {
    std::vector<char> seen;                             // what reads see
    std::vector<char> medium;                           // what was flushed
    std::map<std::size_t, std::vector<Sector>> unsure;  // by number: versions since the last flush
    bool fail_write = false;
    bool fail_flush = false;

    void write(std::size_t offset, const char* bytes, std::size_t count) {
        std::memcpy(seen.data() + offset, bytes, count);
        const std::size_t end = (offset + count + sector_bytes - 1) / sector_bytes;
        for (std::size_t sector = offset / sector_bytes; sector < end; ++sector) {
            const char* from = seen.data() + sector * sector_bytes;
            unsure[sector].emplace_back(from, from + sector_bytes);
        }
    }
    void flush() {
        for (const auto& [sector, versions] : unsure)
            std::memcpy(medium.data() + sector * sector_bytes, versions.back().data(),
                        sector_bytes);
        unsure.clear();
    }
    bool snapshot(std::uint64_t seed, const std::string& path) const {
        std::mt19937_64 random(seed);
        std::vector<char> image = medium;
        for (const auto& [sector, versions] : unsure) {
            const std::size_t choice = random() % (versions.size() + 1);
            if (choice == versions.size()) continue;
            std::memcpy(image.data() + sector * sector_bytes, versions[choice].data(),
                        sector_bytes);
        }
        std::ofstream file(path, std::ios::binary);
        file.write(image.data(), static_cast<std::streamsize>(image.size()));
        return file.good();
    }
};

Disk disk;

int get_attributes(const char* path, struct stat* status, fuse_file_info*) {
    *status = {};
    if (std::string_view(path) == "/") {
        status->st_mode = S_IFDIR | 0700;
        status->st_nlink = 2;
        return 0;
    }
    const bool is_disk = path == disk_name;
    if (!is_disk && path != control_name) return -ENOENT;
    status->st_mode = S_IFREG | 0600;
    status->st_nlink = 1;
    status->st_size = is_disk ? static_cast<off_t>(disk.seen.size()) : 0;
    return 0;
}

int open_file(const char* path, fuse_file_info* file) {
    file->direct_io = 1;  // nobody keeps a copy
    return path == disk_name || path == control_name ? 0 : -ENOENT;
}

int read_file(const char* path, char* into, std::size_t count, off_t from, fuse_file_info*) {
    const auto offset = static_cast<std::size_t>(from);
    if (path != disk_name || offset >= disk.seen.size()) return 0;
    count = std::min(count, disk.seen.size() - offset);
    std::memcpy(into, disk.seen.data() + offset, count);
    return static_cast<int>(count);
}

int obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    std::string what;
    words >> verb;
    if (verb == "heal") {
        disk.fail_write = disk.fail_flush = false;
        return 0;
    }
    if (verb == "fail" && words >> what) {
        disk.fail_write = disk.fail_write || what == "write";
        disk.fail_flush = disk.fail_flush || what == "flush";
        return 0;
    }
    std::uint64_t seed = 0;
    if (verb == "snapshot" && words >> seed >> what) return disk.snapshot(seed, what) ? 0 : -EIO;
    return -EINVAL;
}

int write_file(const char* path, const char* bytes, std::size_t count, off_t from,
               fuse_file_info*) {
    const auto offset = static_cast<std::size_t>(from);
    if (path == control_name) {
        const int result = obey(std::string(bytes, count));
        return result != 0 ? result : static_cast<int>(count);
    }
    if (offset + count > disk.seen.size()) return -ENOSPC;
    if (disk.fail_write) return -EIO;
    disk.write(offset, bytes, count);
    return static_cast<int>(count);
}

int flush_file(const char*, int, fuse_file_info*) {
    if (disk.fail_flush) return -EIO;
    disk.flush();
    return 0;
}

int truncate_file(const char*, off_t, fuse_file_info*) {
    return 0;  // `>control` of a shell
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return 2;
    disk.seen.resize(std::strtoull(argv[2], nullptr, 10));
    disk.medium.resize(disk.seen.size());
    fuse_operations operations{};
    operations.getattr = get_attributes;
    operations.open = open_file;
    operations.read = read_file;
    operations.write = write_file;
    operations.fsync = flush_file;
    operations.truncate = truncate_file;
    std::string foreground = "-f";
    std::string one_thread = "-s";
    char* arguments[] = {argv[0], foreground.data(), one_thread.data(), argv[1], nullptr};
    return fuse_main(4, arguments, &operations, nullptr);
}
