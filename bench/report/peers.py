"""Who is measured: the limits of the machine, shmq, and its peers; what each guarantees and how it is
used. `package` is Debian's; a peer whose program or package is not there is reported as missing."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Subject:
    name: str
    program: str
    variant: str
    package: str
    guarantees: str
    setting: str
    kind: str = "peer"  # limit, shmq, peer
    server: str = ""  # of servers.py
    arguments: dict = field(default_factory=dict, hash=False)

    def having(self, name: str, **arguments) -> "Subject":
        """The same in another role: its name and arguments differ."""
        variant = arguments.pop("variant", self.variant)
        return Subject(name, self.program, variant, self.package, self.guarantees,
                       arguments.pop("setting", self.setting), self.kind, self.server,
                       {**self.arguments, **arguments})


ACKED = ("each message acked; redelivered when its consumer dies; survives any process; nothing lost, "
         "nothing doubled without a mark")
NO_ACK = "gone once read: no ack, no redelivery"

HAND_OVER = Subject("bare hand-over", "peer_bare", "hand_over", "", "none",
                    "one cache line for each direction holds number and payload", "limit")
STREAM = Subject("bare stream", "peer_bare", "stream", "", "none",
                 "slots of 64 bytes (or as large as the message) in a ring, written and read in turn: "
                 "a bare copy in and out", "limit")
IDLE_LOOP = Subject("idle spin loop", "peer_bare", "idle_loop", "", "none",
                    "one process that looks at the clock: what it sees of messages that come due", "limit")

EXCLUSIVE = Subject("shmq exclusive", "peer_shmq", "exclusive", "", ACKED,
                    "exclusive producer and consumer; each message sent, received and acked by its own call",
                    "shmq", "shmqd")
SHARED = Subject("shmq shared", "peer_shmq", "shared", "", ACKED,
                 "any number of producers and consumers; each message sent, received and acked by its own call",
                 "shmq", "shmqd")
EXCLUSIVE_BATCH = EXCLUSIVE.having("shmq exclusive, batches", variant="exclusive,batch",
                                   setting="send_batch, receive_batch and one ack for 64 messages")
SHARED_BATCH = SHARED.having("shmq shared, batches", variant="shared,batch",
                             setting="send_batch, receive_batch and one ack for 64 messages")
EXCLUSIVE_LOAN = EXCLUSIVE.having("shmq exclusive, loan", variant="exclusive,loan",
                                  setting="built in the queue's memory, read in place")
SHARED_LOAN = SHARED.having("shmq shared, loan", variant="shared,loan",
                            setting="built in the queue's memory, read in place")

BOOST = Subject("Boost message_queue", "peer_boost", "", "libboost-dev", NO_ACK + "; a process that dies "
                "holding its lock stops the others", "try_send and try_receive where nobody sleeps")
PIPE = Subject("pipe", "peer_descriptors", "pipe", "", NO_ACK, "1 MiB of buffer (F_SETPIPE_SZ)")
UNIX_STREAM = Subject("Unix stream socket", "peer_descriptors", "stream", "", NO_ACK, "1 MiB of buffer")
SEQPACKET = Subject("Unix seqpacket socket", "peer_descriptors", "seqpacket", "", NO_ACK, "1 MiB of buffer")

# In the order of the report.
LOCAL_PEERS = [BOOST, PIPE, UNIX_STREAM, SEQPACKET]
