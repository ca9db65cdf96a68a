#include "daemon/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <utility>

#include "daemon/journald.hpp"

namespace shmq::daemon {
namespace {

constexpr std::size_t quoted_bytes_max = 200;

std::shared_ptr<spdlog::logger> make_logger() {
    spdlog::sink_ptr sink = logs_to_journal() ? make_journal_sink() : nullptr;
    if (sink == nullptr) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = std::make_shared<spdlog::logger>("shmqd", std::move(sink));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %l: %v");
    logger->flush_on(spdlog::level::trace);
    return logger;
}

}  // namespace

spdlog::logger& log() {
    static const std::shared_ptr<spdlog::logger> logger = make_logger();
    return *logger;
}

void set_log_level(const std::string& level) {
    log().set_level(spdlog::level::from_str(level));
}

std::string log_quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, quoted_bytes_max)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\') {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    return out + (text.size() > quoted_bytes_max ? "\"..." : "\"");
}

}  // namespace shmq::daemon
