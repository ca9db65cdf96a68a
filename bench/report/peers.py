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
                    "exclusive producer and consumer; each message sent, received and acked by its own call; "
                    "try_receive where nobody sleeps and messages come one by one, else receive; beyond 4 KiB a pool of four messages, which stays in the caches",
                    "shmq", "shmqd")
SHARED = Subject("shmq shared", "peer_shmq", "shared", "", ACKED,
                 "any number of producers and consumers; each message sent, received and acked by its own call; "
                 "try_receive where nobody sleeps and messages come one by one, else receive; beyond 4 KiB a pool of four messages, which stays in the caches",
                 "shmq", "shmqd")
EXCLUSIVE_BATCH = EXCLUSIVE.having("shmq exclusive, batches", variant="exclusive,batch",
                                   setting="send_batch, receive_batch and one ack for 64 messages")
SHARED_BATCH = SHARED.having("shmq shared, batches", variant="shared,batch",
                             setting="send_batch, receive_batch and one ack for 64 messages")
EXCLUSIVE_LOAN = EXCLUSIVE.having("shmq exclusive, loan", variant="exclusive,loan",
                                  setting="built in the queue's memory, read in place")
SHARED_LOAN = SHARED.having("shmq shared, loan", variant="shared,loan",
                            setting="built in the queue's memory, read in place")
WAIT_SET = Subject("shmq exclusive, one of 64 queues", "peer_wait_set", "", "", ACKED,
                   "a WaitSet of 64 consumers; each message comes by the next of the queues", "shmq", "shmqd")

BOOST = Subject("Boost message_queue", "peer_boost", "", "libboost-dev", NO_ACK + "; a process that dies "
                "holding its lock stops the others", "try_send and try_receive where nobody sleeps")
PIPE = Subject("pipe", "peer_descriptors", "pipe", "", NO_ACK, "1 MiB of buffer (F_SETPIPE_SZ)")
UNIX_STREAM = Subject("Unix stream socket", "peer_descriptors", "stream", "", NO_ACK, "1 MiB of buffer")
SEQPACKET = Subject("Unix seqpacket socket", "peer_descriptors", "seqpacket", "", NO_ACK, "1 MiB of buffer")

POSIX_MQ = Subject("POSIX message queue", "peer_posix_mq", "", "libc6", NO_ACK,
                   "as many messages as fs.mqueue.msg_max allows")

# Peers with threads or servers of their own: the processors are not taken from those.
FREE = {"pinned": 0}
ZEROMQ = Subject("ZeroMQ", "peer_zeromq", "", "libzmq3-dev", NO_ACK + "; what was under way is lost with "
                 "either side", "PUSH to PULL over ipc://, blocking calls; its own threads batch",
                 arguments={**FREE, "spin": 0})
NNG = Subject("nng", "peer_nng", "", "libnng-dev", NO_ACK + "; what was under way is lost with either side",
              "push to pull over ipc://, nng_sendmsg and nng_recvmsg, blocking", arguments={**FREE, "spin": 0})
ICEORYX = Subject("iceoryx", "peer_iceoryx", "", "libiceoryx-posh-dev", NO_ACK + "; lossless between the living "
                  "as set here", "loaned chunks; WAIT_FOR_CONSUMER and BLOCK_PRODUCER, queue of 256; take() where "
                  "nobody sleeps, else a WaitSet", server="roudi")

# Servers of a level of durability; each is compared with shmq at that level alone.
# Clients and servers share both processors, at one priority.
BROKER_PLACE = {**FREE, "window": 1000}
SHMQ_ACCEPTED = SHARED.having("shmq", variant="shared", **BROKER_PLACE,
                              setting="send returns when the message is accepted: in the queue's shared memory, "
                              "whence it survives any process; each acked")
SHMQ_DURABLE = SHARED.having("shmq", variant="shared,durable", **BROKER_PLACE,
                             setting="durable queue; the sender awaits confirms, up to 1000 messages behind; "
                             "each acked")


def broker(name: str, program: str, level: str, package: str, server: str, guarantees: str, setting: str,
           **arguments) -> Subject:
    return Subject(name, program, level, package, guarantees, setting, server=server,
                   arguments={**BROKER_PLACE, **arguments})


ACCEPTED_BROKERS = [
    broker("RabbitMQ", "peer_rabbitmq", "accepted", "rabbitmq-server", "rabbitmq",
           "in the broker's memory; lost with it; redelivered when a consumer dies",
           "transient classic queue over loopback, publisher confirms up to 1000 behind, prefetch 1000, one ack "
           "for 250"),
    broker("Redis Streams", "peer_redis", "accepted", "redis-server", "redis",
           "in the server's memory; lost with it; a dead consumer's messages must be claimed",
           "Unix socket, appendonly no; XADD pipelined 1000 at a time, XREADGROUP of 1000, one XACK"),
    broker("beanstalkd", "peer_beanstalkd", "accepted", "beanstalkd", "beanstalkd",
           "in the server's memory; lost with it; redelivered when a consumer dies",
           "Unix socket; puts pipelined 128 at a time, 64 reserves under way, each deleted",
           window=128),  # more small answers than that fill a Unix socket, and it waits for us
]
ACKS = [
    EXCLUSIVE.having("shmq exclusive, ack each"),
    EXCLUSIVE.having("shmq exclusive, ack in bulk", variant="exclusive,bulk",
                     setting="sent and received by their own calls, one ack for 32"),
    SHARED.having("shmq shared, ack each"),
    SHARED.having("shmq shared, ack in bulk", variant="shared,bulk",
                  setting="sent and received by their own calls, one ack for 32"),
    *(ACCEPTED_BROKERS[0].having(f"RabbitMQ, {name}", variant=f"accepted,{word}",
                                 setting=f"transient classic queue over loopback, publisher confirms; {name}")
      for name, word in (("auto-ack", "auto"), ("ack each", "each"), ("ack in bulk", "bulk"))),
]
DURABLE_BROKERS = [
    broker("RabbitMQ", "peer_rabbitmq", "durable", "rabbitmq-server", "rabbitmq",
           "synced before the confirm (quorum queue of one node)",
           "quorum queue over loopback, publisher confirms up to 1000 behind, prefetch 1000, one ack for 250"),
    broker("Redis Streams", "peer_redis", "durable", "redis-server", "redis_durable",
           "synced before the answer (appendfsync always)",
           "Unix socket, appendonly yes, appendfsync always; XADD pipelined 1000 at a time, XREADGROUP of 1000, "
           "one XACK"),
    broker("beanstalkd", "peer_beanstalkd", "durable", "beanstalkd", "beanstalkd_durable",
           "synced at each write of its log (-f 0)",
           "Unix socket, -b -f 0; puts pipelined 128 at a time, 64 reserves under way, each deleted",
           window=128),  # more small answers than that fill a Unix socket, and it waits for us
]

# In the order of the report.
LOCAL_PEERS = [BOOST, POSIX_MQ, PIPE, UNIX_STREAM, SEQPACKET, ZEROMQ, NNG, ICEORYX]
