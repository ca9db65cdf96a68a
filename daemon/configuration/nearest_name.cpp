#include <algorithm>
#include <numeric>

#include "daemon/configuration/configuration.hpp"

namespace shmq::daemon {
namespace {

// Letters put in, left out, replaced, or swapped with a neighbour.
std::size_t distance(std::string_view from, std::string_view to) {
    std::vector<std::size_t> before(to.size() + 1);
    std::vector<std::size_t> last(to.size() + 1);
    std::vector<std::size_t> row(to.size() + 1);
    std::iota(last.begin(), last.end(), 0);
    for (std::size_t i = 1; i <= from.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= to.size(); ++j) {
            const std::size_t other = from[i - 1] == to[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + other});
            const bool swapped =
                i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[to.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& known) {
    std::string written(name);
    std::replace(written.begin(), written.end(), '-', '_');  // as on the command line
    std::string_view nearest;
    std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        // A piece of a long name is meant to be it: `level`, `state_dir`.
        const bool part = written.size() >= 4 && candidate.find(written) != candidate.npos;
        const std::size_t away = part ? 1 : distance(written, candidate);
        if (away >= least) continue;
        least = away;
        nearest = candidate;
    }
    return nearest;
}

}  // namespace shmq::daemon
