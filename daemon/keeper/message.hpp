// The notify protocol of service managers (sd_notify): datagrams of lines NAME=VALUE, a descriptor
// beside them. Both ends; what our keeper takes is a subset of what systemd takes.
//
//   FDSTORE=1, FDNAME=…, FDPOLL=0    keep the descriptor that comes along under that name
//   FDSTOREREMOVE=1, FDNAME=…        let go of it
//   READY=1, STOPPING=1              started; ends because it was told to
#pragma once

#include <string>
#include <string_view>

#include "base/fd.hpp"

namespace shmq::daemon {

// No message of ours is longer; names are short, for they return in one environment variable.
constexpr std::size_t notice_max_bytes = 512;

struct Notice {
    bool store = false;
    bool remove = false;
    bool ready = false;
    bool stopping = false;
    std::string name;
};
// Unknown lines are passed over, as the protocol asks.
Notice parse_notice(std::string_view text);

std::string store_text(std::string_view name);
std::string remove_text(std::string_view name);

enum class NoticeSent {
    sent,
    busy,     // the reader is slow, or the system short of something: try again
    gone,     // nobody reads there any more
    refused,  // the message itself: errno says why
};
// Never blocks. `fd` -1: none goes along.
NoticeSent send_notice(int socket, std::string_view text, int fd);

enum class NoticeReceived { notice, nothing, hung_up };
// Never blocks. At most one descriptor is taken, others are closed.
NoticeReceived receive_notice(int socket, Notice& notice, Fd& fd);

}  // namespace shmq::daemon
