#include "cli/queue_values.hpp"

#include <grp.h>
#include <pwd.h>

#include <fmt/format.h>

#include <shmq/queue.hpp>

#include "cli/options.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

namespace shmq::cli {
namespace {

std::optional<std::uint32_t> plain_number(const std::string& text) {
    const bool number = !text.empty() && text.size() < 10 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    if (!number) return {};
    return static_cast<std::uint32_t>(std::stoul(text));
}

std::chrono::nanoseconds delay_in(const std::string& whole, const std::string& part) {
    const auto time = parse_duration(part);
    if (!time) throw BadValue(fmt::format("'{}': {}", escape(whole), time.error()));
    return *time;
}

}  // namespace

std::uint32_t group_number(const std::string& text) {
    if (const group* found = ::getgrnam(text.c_str())) return found->gr_gid;
    if (const auto number = plain_number(text)) return *number;
    throw BadValue(fmt::format("'{}': no such group; give a name of 'getent group' or a number",
                               escape(text)));
}

std::uint32_t user_number(const std::string& text) {
    if (const passwd* found = ::getpwnam(text.c_str())) return found->pw_uid;
    if (const auto number = plain_number(text)) return *number;
    throw BadValue(fmt::format("'{}': no such user; give a name of 'getent passwd' or a number",
                               escape(text)));
}

std::string group_text(std::uint32_t number) {
    const group* found = ::getgrgid(number);
    return found != nullptr ? found->gr_name : std::to_string(number);
}

std::string user_text(std::uint32_t number) {
    const passwd* found = ::getpwuid(number);
    return found != nullptr ? found->pw_name : std::to_string(number);
}

std::uint32_t mode_number(const std::string& text) {
    const auto mode = parse_mode(text);
    if (!mode) throw BadValue(fmt::format("'{}': {}", escape(text), mode.error()));
    return *mode;
}

std::uint32_t deliveries_number(const std::string& text) {
    if (text == "unlimited") return 0;
    const auto number = parse_size(text);
    if (!number || *number == 0 || *number > 1023) {
        throw BadValue(fmt::format("'{}'; it is 1 to 1023, or unlimited", escape(text)));
    }
    return static_cast<std::uint32_t>(*number);
}

std::uint64_t size_number(const std::string& text) {
    const auto size = parse_size(text);
    if (!size) throw BadValue(fmt::format("'{}': {}", escape(text), size.error()));
    if (*size == 0) throw BadValue("0; write none");
    return *size;
}

RetryDelay retry_delay_of(const std::string& text) {
    RetryDelay delay;
    const std::size_t dots = text.find("..");
    delay.first = delay_in(text, text.substr(0, dots));
    if (dots != std::string::npos) delay.most = delay_in(text, text.substr(dots + 2));
    return delay;
}

bool yes_or_no(const std::string& text) {
    if (text != "yes" && text != "no")
        throw BadValue(fmt::format("'{}'; it is yes or no", escape(text)));
    return text == "yes";
}

std::string queue_name_of(const std::string& text) {
    if (const std::string wrong = check_queue_name(text); !wrong.empty()) throw BadValue(wrong);
    return text;
}

}  // namespace shmq::cli
