// Settling messages by their sequences: what ack, nack, extend and dlq have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "client/session.hpp"

namespace shmq::cli {

// The words from `from` on, as sequences; a usage error of `verb` if one is none.
std::vector<std::uint64_t> sequences_of(std::string_view verb,
                                        const std::vector<std::string>& words, std::size_t from);

class Settling {
  public:
    Settling(const Context& context, std::string queue, wire::SettleVerb verb, bool json);

    std::uint64_t time_ns = 0;  // of nack and extend
    std::string to;             // of redrive

    void run(const std::vector<std::uint64_t>& sequences);
    // Says what was done and what was not, and why. Failed if anything was refused.
    Exit report(Exit otherwise) const;
    Exit report_dry(std::size_t count) const;

  private:
    std::string queue_;
    wire::SettleVerb verb_;
    bool json_;
    Client client_;
    Session::Settled total_;
};

}  // namespace shmq::cli
