// The configuration files: shmqd.toml, and what lies beside it in shmqd.toml.d, in the order of
// their names. What a later one says holds. What no table knows is refused, with its place and the
// nearest name that is known; nothing is taken from files that say anything wrong.
#pragma once

#include <string>
#include <vector>

#include "daemon/options.hpp"

namespace shmq::daemon {

// Where this daemon's configuration is, if nobody names another: $CONFIGURATION_DIRECTORY (of a
// service manager), /etc/shmq for root, $XDG_CONFIG_HOME/shmq or ~/.config/shmq; in it shmqd.toml.
// Empty: nowhere.
std::string default_configuration_path();

// Takes what `path` and PATH.d/*.toml say into `options`. `must_exist`: `path` was named. What is
// wrong, as "FILE:LINE: sentence" each; empty: nothing.
std::vector<std::string> read_configuration(const std::string& path, bool must_exist,
                                            Options& options);

// What is in force as such a file, with comments: defaults that depend on the place, commented out.
std::string print_configuration(const Options& options);

// The name among `known` that somebody may have meant; empty: none is near.
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace shmq::daemon
