#include "daemon/configuration/configuration.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <toml++/toml.h>

#include "daemon/configuration/setting.hpp"
#include "daemon/queue_options.hpp"

namespace shmq::daemon {
namespace {

constexpr std::string_view file_name = "shmqd.toml";
constexpr std::uintmax_t file_max_bytes = 4u << 20;

ConfigurationValue value_of(const toml::node& node) {
    if (const auto* value = node.as_boolean()) return value->get();
    if (const auto* value = node.as_integer()) return value->get();
    if (const auto* value = node.as_floating_point()) return value->get();
    if (const auto* value = node.as_string()) return value->get();
    return {};
}

class Reading {
  public:
    explicit Reading(Options& options) : options_(options) {}

    void read(const std::string& path, bool must_exist) {
        path_ = path;
        std::error_code error;
        const auto bytes = std::filesystem::file_size(path, error);
        if (error == std::errc::no_such_file_or_directory && !must_exist) return;
        std::ifstream file(path);
        if (error && error != std::errc::invalid_argument && error.value() != EISDIR &&
            !std::filesystem::is_character_file(path)) {
            return complain_of_file(error.message());
        }
        if (!error && bytes > file_max_bytes) return complain_of_file("it is too large");
        std::ostringstream text;
        text << file.rdbuf();
        if (!file.is_open() || file.bad()) return complain_of_file(std::strerror(errno));
        try {
            read_all(toml::parse(text.str(), path));
        } catch (const toml::parse_error& wrong) {
            complaints_.push_back(fmt::format("{}:{}: this is not TOML: {}", path,
                                              wrong.source().begin.line, wrong.description()));
        }
    }

    // What can only be told once all is read.
    void check() {
        Caller caller;
        caller.uid = ::geteuid();
        caller.gid = ::getegid();
        check_queue(caller, "defaults", "[defaults]", options_.queue_defaults);
        for (const DeclaredQueue& queue : options_.queues) {
            check_queue(caller, queue.name, fmt::format("queue \"{}\"", queue.name),
                        overlaid(queue.options, options_.queue_defaults));
        }
    }

    std::vector<std::string> take_complaints() { return std::move(complaints_); }

  private:
    using Named = std::vector<std::string_view>;

    void complain(const toml::source_region& at, const std::string& text) {
        complaints_.push_back(fmt::format("{}: {}", place_of(at), text));
    }
    void complain_of_file(const std::string& why) {
        complaints_.push_back(fmt::format("{}: cannot be read: {}", path_, why));
    }
    std::string place_of(const toml::source_region& at) const {
        return fmt::format("{}:{}", path_, at.begin.line);
    }

    void complain_of_key(const toml::key& key, std::string_view where, const Named& known) {
        const std::string_view nearest = nearest_name(key.str(), known);
        std::string text = fmt::format("unknown key \"{}\"{}", key.str(), where);
        if (!nearest.empty()) {
            text += fmt::format("; did you mean \"{}\"?", nearest);
        } else {
            text += "; see shmqd.toml(5) for those there are";
        }
        complain(key.source(), text);
    }

    void read_all(const toml::table& file) {
        for (const auto& [key, node] : file) {
            const toml::table* table = node.as_table();
            if (table != nullptr && (key.str() == "limits" || key.str() == "metrics")) {
                for (const auto& [inner, value] : *table)
                    read_setting(key.str(), inner, value);
            } else if (table != nullptr && key.str() == "defaults") {
                DeclaredQueue defaults;
                defaults.options = options_.queue_defaults;
                read_queue("defaults", *table, defaults, /*has_owner=*/false);
                options_.queue_defaults = defaults.options;
            } else if (table != nullptr && key.str() == "queue") {
                for (const auto& [name, value] : *table)
                    declare(name, value);
            } else {
                read_setting("", key, node);
            }
        }
    }

    void read_setting(std::string_view table, const toml::key& key, const toml::node& node) {
        Named known;
        if (table.empty()) known = {"limits", "metrics", "defaults", "queue"};
        for (const auto& setting : daemon_settings()) {
            if (setting.table != table) continue;
            if (setting.name == key.str())
                return take(key, node, setting.take(value_of(node), options_));
            known.push_back(setting.name);
        }
        if (table.empty() && std::find(known.begin(), known.end(), key.str()) != known.end()) {
            return complain(key.source(),
                            fmt::format("{} is a table: write [{}]{}", key.str(), key.str(),
                                        key.str() == "queue" ? ", [queue.NAME]" : ""));
        }
        complain_of_key(key, table.empty() ? "" : fmt::format(" in [{}]", table), known);
    }

    void take(const toml::key& key, const toml::node& node, const std::string& wrong) {
        if (!wrong.empty()) complain(node.source(), fmt::format("{}: {}", key.str(), wrong));
    }

    void declare(const toml::key& key, const toml::node& node) {
        const toml::table* table = node.as_table();
        const std::string name(key.str());
        if (table == nullptr) {
            return complain(
                key.source(),
                fmt::format("queue.{} has to be a table: write [queue.\"{}\"]", name, name));
        }
        if (const std::string wrong = wire::check_name(name); !wrong.empty()) {
            // `[queue.a.b]` is a table in a table: the name has to be quoted.
            return complain(key.source(), fmt::format("queue \"{}\": {}", name, wrong));
        }
        auto found = std::find_if(options_.queues.begin(), options_.queues.end(),
                                  [&](const DeclaredQueue& queue) { return queue.name == name; });
        if (found == options_.queues.end()) {
            found = options_.queues.insert(found, DeclaredQueue{});
            found->name = name;
        }
        said_at_[name][""] = place_of(key.source());
        read_queue(name, *table, *found, /*has_owner=*/true);
    }

    void read_queue(const std::string& name, const toml::table& table, DeclaredQueue& queue,
                    bool has_owner) {
        for (const auto& [key, node] : table) {
            said_at_[name][std::string(key.str())] = place_of(node.source());
            if (!read_queue_setting(key, node, queue, has_owner)) {
                Named known;
                for (const auto& setting : queue_settings())
                    known.push_back(setting.name);
                if (has_owner) known.push_back("owner");
                const bool nested = node.is_table();
                complain_of_key(key,
                                nested ? fmt::format(": a queue's name with dots is written in "
                                                     "quotes, [queue.\"{}.{}\"]",
                                                     name, key.str())
                                       : fmt::format(" of {}", name),
                                known);
            }
        }
    }

    bool read_queue_setting(const toml::key& key, const toml::node& node, DeclaredQueue& queue,
                            bool has_owner) {
        for (const auto& setting : queue_settings()) {
            if (setting.name != key.str()) continue;
            take(key, node, setting.take(value_of(node), queue.options));
            return true;
        }
        for (const auto& setting : declared_queue_settings()) {
            if (setting.name != key.str() || !has_owner) continue;
            take(key, node, setting.take(value_of(node), queue));
            return true;
        }
        return false;
    }

    // The daemon's own words about options, and where the one was said that they name.
    void check_queue(const Caller& caller, const std::string& name, const std::string& what,
                     const wire::Options& options) {
        const auto failure = check_queue_options(caller, name, with_implied(options));
        if (!failure) return;
        std::string option = failure->parameters.value("parameter", "");
        if (const auto dot = option.find('.'); dot != std::string::npos) option.erase(0, dot + 1);
        const auto& places = said_at_[name];
        auto place = places.find(option);
        if (place == places.end()) place = places.find("");
        complaints_.push_back(fmt::format(
            "{}: {}: {}{}", place == places.end() ? path_ : place->second, what,
            option == "options" ? "" : option + ": ", failure->parameters.value("reason", "")));
    }

    Options& options_;
    std::string path_;
    std::vector<std::string> complaints_;
    // Of each queue, and of "defaults": where each key was said last, and "", where it begins.
    std::map<std::string, std::map<std::string, std::string>> said_at_;
};

// Whoever became another user may still have the other's HOME.
bool out_of_reach(const std::string& path) {
    std::error_code error;
    static_cast<void>(std::filesystem::status(path, error));
    return error == std::errc::permission_denied;
}

}  // namespace

std::string default_configuration_path() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    std::string directory = variable("CONFIGURATION_DIRECTORY");
    directory.erase(std::min(directory.find(':'), directory.size()));
    if (directory.empty() && ::geteuid() == 0) directory = "/etc/shmq";
    if (directory.empty()) {
        std::string home = variable("XDG_CONFIG_HOME");
        if (home.empty() && !variable("HOME").empty()) home = variable("HOME") + "/.config";
        if (!home.empty() && !out_of_reach(home + "/shmq/x")) directory = home + "/shmq";
    }
    return directory.empty() ? directory : fmt::format("{}/{}", directory, file_name);
}

std::vector<std::string> read_configuration(const std::string& path, bool must_exist,
                                            Options& options) {
    Options read = options;
    Reading reading(read);
    if (!path.empty()) {
        reading.read(path, must_exist);
        std::vector<std::string> more;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(path + ".d", error)) {
            if (entry.path().extension() == ".toml") more.push_back(entry.path().string());
        }
        std::sort(more.begin(), more.end());
        for (const std::string& file : more)
            reading.read(file, true);
        reading.check();
    }
    auto complaints = reading.take_complaints();
    if (complaints.empty()) options = std::move(read);
    return complaints;
}

}  // namespace shmq::daemon
