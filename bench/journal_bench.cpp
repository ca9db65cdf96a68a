// How fast is the journal, beside what the same disk does for a program that does nothing else?
//
//   spill      Messages are appended as fast as the writer takes them, then read back in order,
//              then recovered. Beside it fio: the same number of bytes, in blocks of what the
//              writer made of them on average, one at a time, buffered, into new preallocated
//              files of the same size, by the same engine; and read back in the reader's pieces.
//              Nothing is synced; what is read is cached.
//   durable    So many messages are outstanding; for each that is confirmed the next is sent.
//              Beside it what one write of 4 KiB and fdatasync take over a file of zeros, alone.
//
// Before each of the two writes, a file of as many bytes is written and deleted. The host of a
// virtual machine may take back what memory was free for a while, and who touches it first then
// waits: 6 ms for a block that takes 1 ms else, and only where the kernel allots 2 MiB at once,
// thus only for large blocks. The journal comes first and would always wait, and fio would use what
// it leaves.
//
// Rounds of both are interleaved, and the best of each counts: a shared disk and other people's
// work only ever make it slower. --directory=PATH (default: the system's directory for temporary
// files), --rounds=N, --megabytes=N, --json=FILE: the same for programs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "daemon/journal/directory.hpp"
#include "daemon/journal/reader.hpp"
#include "support/counting_disk.hpp"

namespace shmq::bench {
namespace {

using journal::Directory;
using journal::LogKind;
using journal::Reader;
using journal::Recovered;
using journal::Writer;

struct Options {
    std::filesystem::path directory = std::filesystem::temp_directory_path();
    int rounds = 5;
    std::uint64_t megabytes = 512;
    std::string json;  // the same for programs: a file
};

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "journal_bench: %s\n", what.c_str());
    std::_Exit(1);
}

double seconds_since(Nanoseconds start) {
    return static_cast<double>(monotonic_now() - start) / 1e9;
}

// A fresh directory, gone at the end with all that is in it.
class Place {
  public:
    explicit Place(const Options& options) {
        std::string name = (options.directory / "shmq-journal-bench-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) give_up(name + ": " + std::strerror(errno));
        path_ = name;
    }
    ~Place() { std::filesystem::remove_all(path_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

std::shared_ptr<journal::Engine> engine() {
    std::string refusal;
    static const std::shared_ptr<journal::Engine> one =
        journal::Engine::create(journal::EngineChoice::automatic, refusal);
    if (one == nullptr) give_up(refusal);
    return one;
}

std::unique_ptr<Directory> open(const std::string& path) {
    auto directory = Directory::open(path, Directory::Use::write, engine());
    if (!directory) give_up(directory.error());
    return std::move(*directory);
}

journal::WriterOptions writer_options(LogKind kind) {
    journal::WriterOptions options;
    options.kind = kind;
    options.random = [] { return std::uint64_t{0x5eed}; };
    options.realtime_ns = [] { return std::uint64_t{1}; };
    return options;
}

// What messages are sent from: as large as what may wait to be written.
std::span<const std::byte> payload(std::uint64_t number, std::size_t bytes) {
    static const std::vector<std::byte> pool = [] {
        std::vector<std::byte> made(2 * limits::journal_pending_max_bytes);
        std::mt19937_64 random(1);
        for (std::byte& byte : made)
            byte = static_cast<std::byte>(random());
        return made;
    }();
    return std::span(pool).subspan(number * bytes % (pool.size() - bytes), bytes);
}

// Leaves as much free memory as the next one who writes will take, in pieces as large, none of
// which the host has to bring.
void warm_page_cache(const Options& options, std::uint64_t bytes) {
    const Place place(options);
    const std::string name = place.path() + "/warm";
    const Fd file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::span<const std::byte> piece = payload(0, limits::journal_batch_max_bytes);
    for (std::uint64_t written = 0; written < bytes; written += piece.size())
        if (::write(file.get(), piece.data(), piece.size()) != static_cast<ssize_t>(piece.size()))
            give_up(name + ": " + std::strerror(errno));
}

struct Fio {
    double write_mb = 0;
    double read_mb = 0;
};

double fio(const std::string& path, const std::string& job, std::uint64_t bytes) {
    const std::uint64_t file_bytes = limits::journal_file_default_bytes;
    const std::uint64_t files = (bytes + file_bytes - 1) / file_bytes;
    const std::string command =
        "fio --name=spill --directory=" + path + " --nrfiles=" + std::to_string(files) +
        " --filesize=" + std::to_string(file_bytes) +
        " --ioengine=" + (engine()->name() == std::string_view("io_uring") ? "io_uring" : "psync") +
        " --openfiles=1 --file_service_type=sequential --iodepth=1 --direct=0 --fallocate=native"
        " --output-format=json " +
        job;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) give_up("popen failed");
    std::string text;
    std::array<char, 4096> piece;
    while (const std::size_t count = std::fread(piece.data(), 1, piece.size(), pipe))
        text.append(piece.data(), count);
    if (::pclose(pipe) != 0) give_up("this failed: " + command);
    const auto begin = text.find('{');
    const auto report = nlohmann::json::parse(text.substr(begin))["jobs"][0];
    const char* direction = job.find("--rw=write") != std::string::npos ? "write" : "read";
    return report[direction]["bw_bytes"].get<double>() / 1e6;
}

bool have_fio() {
    static const bool found = std::system("command -v fio >/dev/null 2>&1") == 0;
    return found;
}

struct Spill {
    double write_mb = 0;  // of the files' bytes
    double read_mb = 0;
    double messages_written = 0;  // a second
    double messages_read = 0;
    double recovery_s = 1e9;  // per GB
    std::uint64_t block_bytes = 0;
    Fio fio;

    void better(const Spill& other) {
        write_mb = std::max(write_mb, other.write_mb);
        read_mb = std::max(read_mb, other.read_mb);
        messages_written = std::max(messages_written, other.messages_written);
        messages_read = std::max(messages_read, other.messages_read);
        recovery_s = std::min(recovery_s, other.recovery_s);
        block_bytes = other.block_bytes;
        fio.write_mb = std::max(fio.write_mb, other.fio.write_mb);
        fio.read_mb = std::max(fio.read_mb, other.fio.read_mb);
    }
};

void write_all(CountingDisk& disk, Writer& writer, std::uint64_t count, std::size_t bytes) {
    std::uint64_t last = 0;
    for (std::uint64_t sent = 0; sent < count;) {
        journal::MessageRecord message;
        message.payload = payload(sent, bytes);
        message.sequence = sent;
        const std::uint64_t lsn = writer.append(message);
        if (lsn != 0) {
            last = lsn;
            // As a daemon that does something else now and then.
            if (++sent % 256 == 0) {
                writer.flush();
                disk.run(false);
            }
        } else {
            writer.flush();
            disk.run(true);
        }
        if (writer.state() != Writer::State::open) give_up(writer.error().text);
    }
    writer.flush();
    while (writer.logged() < last)
        disk.run(true);
}

void read_all(CountingDisk& disk, Reader& reader, std::uint64_t count) {
    for (std::uint64_t read = 0; read < count;) {
        if (reader.peek() != nullptr) {
            reader.pass();
            ++read;
        } else if (!disk.run(true)) {
            give_up("messages are missing");
        }
    }
}

Spill spill_round(const Options& options, std::size_t bytes) {
    Spill result;
    const std::uint64_t record = journal::record_bytes(bytes);
    const std::uint64_t count = options.megabytes * 1'000'000 / record;
    const auto total = static_cast<double>(count * record);
    warm_page_cache(options, count * record);
    {
        const Place place(options);
        auto directory = open(place.path());
        CountingDisk disk(*directory);
        {
            Writer writer(disk, writer_options(LogKind::spill), Recovered{}, [] {});
            Nanoseconds start = monotonic_now();
            write_all(disk, writer, count, bytes);
            double seconds = seconds_since(start);
            result.write_mb = total / 1e6 / seconds;
            result.messages_written = static_cast<double>(count) / seconds;
            result.block_bytes = disk.bytes_written / disk.writes;
            Reader reader(disk, writer, 1, [] {});
            start = monotonic_now();
            read_all(disk, reader, count);
            seconds = seconds_since(start);
            result.read_mb = total / 1e6 / seconds;
            result.messages_read = static_cast<double>(count) / seconds;
        }
        const Nanoseconds start = monotonic_now();
        const auto recovered = journal::recover(disk, nullptr);
        if (!recovered || recovered->live.count() != count)
            give_up("recovery found something else");
        result.recovery_s = seconds_since(start) / (total / 1e9);
    }
    if (!have_fio()) return result;
    warm_page_cache(options, count * record);
    const Place place(options);
    const std::uint64_t block =
        std::clamp<std::uint64_t>(result.block_bytes / 4096, 1, 4096) * 4096;
    result.fio.write_mb =
        fio(place.path(), "--rw=write --create_on_open=1 --bs=" + std::to_string(block),
            count * record);
    result.fio.read_mb = fio(place.path(), "--rw=read --invalidate=0 --bs=256k", count * record);
    return result;
}

// The same for programs.
nlohmann::json report = nlohmann::json::array();

void add_to_report(const std::string& key, const std::string& title, const char* unit,
                   bool lower_is_better, double figure, const char* limit_name, double limit) {
    report.push_back({{"key", key},
                      {"title", title},
                      {"unit", unit},
                      {"lower_is_better", lower_is_better},
                      {"figure", figure},
                      {"limit_name", limit_name},
                      {"limit", limit}});
}

double ratio(double ours, double theirs) {
    return theirs > 0 ? ours / theirs : 0;
}

void spill(const Options& options) {
    std::printf("\nspill, %llu MB a round            written                    read back\n",
                static_cast<unsigned long long>(options.megabytes));
    std::printf("%8s %9s | %8s %9s %6s %9s | %8s %9s %6s %9s | %s\n", "payload", "block", "MB/s",
                "fio", "ratio", "M msg/s", "MB/s", "fio", "ratio", "M msg/s", "recovery s/GB");
    constexpr std::array<std::size_t, 3> sizes{64, 1024, 65536};
    std::array<Spill, sizes.size()> best;
    for (int round = 0; round < options.rounds; ++round)
        for (std::size_t i = 0; i < sizes.size(); ++i)
            best[i].better(spill_round(options, sizes[i]));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const Spill& one = best[i];
        const std::string size = std::to_string(sizes[i]);
        add_to_report("write/" + size, "messages of " + size + " B written", "MB/s", false,
                      one.write_mb, "fio", one.fio.write_mb);
        add_to_report("read/" + size, "messages of " + size + " B read back", "MB/s", false,
                      one.read_mb, "fio", one.fio.read_mb);
        std::printf("%8zu %9llu | %8.0f %9.0f %6.2f %9.2f | %8.0f %9.0f %6.2f %9.2f | %.2f\n",
                    sizes[i], static_cast<unsigned long long>(one.block_bytes), one.write_mb,
                    one.fio.write_mb, ratio(one.write_mb, one.fio.write_mb),
                    one.messages_written / 1e6, one.read_mb, one.fio.read_mb,
                    ratio(one.read_mb, one.fio.read_mb), one.messages_read / 1e6, one.recovery_s);
    }
}

struct Latency {
    double p50_us = 1e9;
    double p99_us = 1e9;
    double per_s = 0;
    double per_sync = 0;  // confirms

    static Latency of(std::vector<double>& all_us, double seconds) {
        std::sort(all_us.begin(), all_us.end());
        return {.p50_us = all_us[all_us.size() / 2],
                .p99_us = all_us[all_us.size() * 99 / 100],
                .per_s = static_cast<double>(all_us.size()) / seconds};
    }
    void better(const Latency& other) {
        if (other.p50_us < p50_us) *this = other;
    }
};

constexpr double round_s = 0.5;

Latency durable_round(const Options& options, std::size_t outstanding) {
    const Place place(options);
    auto directory = open(place.path());
    CountingDisk disk(*directory);
    Writer writer(disk, writer_options(LogKind::durable), Recovered{}, [] {});
    std::vector<double> all_us;
    std::deque<std::pair<std::uint64_t, Nanoseconds>> waiting;
    std::uint64_t syncs = 0;
    Nanoseconds start = 0;
    for (int warm = 2000;; --warm) {
        if (warm == 0) {
            start = monotonic_now();
            all_us.clear();
            syncs = disk.syncs;
        }
        if (warm <= 0 && seconds_since(start) > round_s) break;
        while (waiting.size() < outstanding) {
            journal::MessageRecord message;
            message.payload = payload(waiting.size(), 1024);
            waiting.emplace_back(writer.append(message), monotonic_now());
        }
        writer.flush();
        disk.run(true);
        const Nanoseconds now = monotonic_now();
        for (; !waiting.empty() && waiting.front().first <= writer.durable(); waiting.pop_front())
            all_us.push_back(static_cast<double>(now - waiting.front().second) / 1e3);
        writer.trim(writer.durable() + 1);
        if (writer.state() != Writer::State::open) give_up(writer.error().text);
    }
    Latency result = Latency::of(all_us, seconds_since(start));
    result.per_sync = static_cast<double>(all_us.size()) / static_cast<double>(disk.syncs - syncs);
    return result;
}

Latency fdatasync_round(const Options& options) {
    const Place place(options);
    const std::string name = place.path() + "/zeros";
    const Fd file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    std::vector<std::byte> zeros(limits::journal_file_default_bytes);
    if (::pwrite(file.get(), zeros.data(), zeros.size(), 0) < 0 || ::fsync(file.get()) != 0)
        give_up(name + ": " + std::strerror(errno));
    std::vector<double> all_us;
    const Nanoseconds start = monotonic_now();
    for (std::uint64_t at = 0; seconds_since(start) < round_s; ++at) {
        const Nanoseconds before = monotonic_now();
        const auto offset = static_cast<off_t>(at * 4096 % zeros.size());
        if (::pwrite(file.get(), payload(at, 4096).data(), 4096, offset) != 4096 ||
            ::fdatasync(file.get()) != 0)
            give_up(name + ": " + std::strerror(errno));
        all_us.push_back(static_cast<double>(monotonic_now() - before) / 1e3);
    }
    return Latency::of(all_us, seconds_since(start));
}

void durable(const Options& options) {
    constexpr std::array<std::size_t, 3> depths{1, 8, 64};
    std::array<Latency, depths.size()> best;
    Latency alone;
    for (int round = 0; round < options.rounds; ++round) {
        alone.better(fdatasync_round(options));
        for (std::size_t i = 0; i < depths.size(); ++i)
            best[i].better(durable_round(options, depths[i]));
    }
    std::printf("\ndurable, messages of 1 KiB\n%-26s %8s %8s %8s %12s %14s\n", "", "p50 us",
                "p99 us", "a second", "confirms/sync", "p50 / fdatasync");
    const auto row = [&](const std::string& what, const Latency& one) {
        std::printf("%-26s %8.0f %8.0f %8.0f %12.1f %14.2f\n", what.c_str(), one.p50_us, one.p99_us,
                    one.per_s, one.per_sync, ratio(one.p50_us, alone.p50_us));
    };
    row("write 4 KiB + fdatasync", alone);
    for (std::size_t i = 0; i < depths.size(); ++i)
        row(std::to_string(depths[i]) + " outstanding", best[i]);
    for (std::size_t i = 0; i < depths.size(); ++i) {
        const std::string depth = std::to_string(depths[i]);
        add_to_report("durable/" + depth,
                      "1 KiB written and synced, " + depth + " outstanding, median", "ns", true,
                      best[i].p50_us * 1000, "write and fdatasync", alone.p50_us * 1000);
    }
}

const char* file_system_of(const std::filesystem::path& path) {
    struct statfs status {};
    if (::statfs(path.c_str(), &status) != 0) return "unknown";
    switch (static_cast<unsigned long>(status.f_type)) {
        case 0xef53:
            return "ext4";
        case 0x01021994:
            return "tmpfs: no disk at all";
        case 0x58465342:
            return "xfs";
        case 0x9123683e:
            return "btrfs";
        case 0x794c7630:
            return "overlay";
        default:
            return "another";
    }
}

}  // namespace
}  // namespace shmq::bench

int main(int count, char** arguments) {
    using namespace shmq::bench;
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        const std::string value(argument.substr(std::min(argument.find('=') + 1, argument.size())));
        if (argument.starts_with("--directory="))
            options.directory = value;
        else if (argument.starts_with("--rounds="))
            options.rounds = std::stoi(value);
        else if (argument.starts_with("--megabytes="))
            options.megabytes = std::stoull(value);
        else if (argument.starts_with("--json="))
            options.json = value;
        else if (!argument.starts_with("--benchmark"))
            give_up("unknown: " + std::string(argument));
    }
    std::printf("journal: %s (file system: %s), engine %s, best of %d interleaved rounds\n",
                options.directory.c_str(), file_system_of(options.directory), engine()->name(),
                options.rounds);
    if (!have_fio()) std::printf("fio is not installed: its columns stay 0\n");
    spill(options);
    durable(options);
    if (!options.json.empty()) std::ofstream(options.json) << report << '\n';
    return 0;
}
