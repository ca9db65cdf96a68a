"""What is measured: every table of the report, in its order."""

from peers import (ACCEPTED_BROKERS, ACKS, BOOST, DURABLE_BROKERS, EXCLUSIVE, EXCLUSIVE_BATCH, EXCLUSIVE_LOAN, HAND_OVER,
                   ICEORYX, IDLE_LOOP, LOCAL_PEERS, NNG, POSIX_MQ, SEQPACKET, SHARED, SHARED_BATCH, SHARED_LOAN,
                   SHMQ_ACCEPTED, SHMQ_DURABLE, STREAM, WAIT_SET, ZEROMQ)
from rounds import Work

KIB, MIB = 1 << 10, 1 << 20
SIZES = [8, 32, 64, 256, KIB, 4 * KIB, 64 * KIB, MIB, 4 * MIB]
QUICK_SIZES = {32, 64, KIB, 64 * KIB}
OPEN_LOOP_RATES = [1_000, 10_000, 100_000, 1_000_000]


def size_name(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB" if size >= KIB else f"{size} B"


def one_way(answer: dict) -> float:
    return answer["times"]["p50"]


def both_ways(answer: dict) -> float:
    return (answer["times"]["p50"] + answer["more_times"]["p50"]) / 2


def latency_works() -> list[Work]:
    works = []
    for size in [32, 64, 256, KIB, 4 * KIB, 64 * KIB]:
        limit = HAND_OVER.having(HAND_OVER.name, size=32)
        works.append(Work(f"latency/{size}", f"one-way latency, both sides spinning, {size_name(size)}", "ns",
                          True, [limit, EXCLUSIVE, SHARED, *LOCAL_PEERS],
                          {"work": "latency", "spin": 1, "size": size}, HAND_OVER.name, size,
                          quick=size in {32, 64, KIB}, figure=one_way))
    return works


def wake_works() -> list[Work]:
    works = [Work(f"wake/{idle}", f"wake-up: one way to a receiver asleep for {idle} us, 32 B", "ns", True,
                  [HAND_OVER, EXCLUSIVE, SHARED, WAIT_SET, *LOCAL_PEERS],
                  {"work": "wake", "size": 32, "idle_us": idle}, HAND_OVER.name, idle,
                  seconds=0.5, quick=idle == 100, figure=both_ways) for idle in (100, 1000)]
    works.append(Work("blocking", "one-way latency, blocking calls back to back, 32 B", "ns", True,
                      [HAND_OVER, EXCLUSIVE, SHARED, *LOCAL_PEERS], {"work": "latency", "size": 32},
                      HAND_OVER.name, quick=False, figure=one_way))
    return works


def throughput_works() -> list[Work]:
    spinning = (BOOST, ICEORYX)
    peers = [peer.having(peer.name, spin=1) if peer in spinning else peer for peer in LOCAL_PEERS]
    return [Work(f"throughput/{size}", f"throughput, one producer, one consumer, {size_name(size)}",
                 "messages/s", False,
                 [STREAM, EXCLUSIVE, SHARED, EXCLUSIVE_BATCH, SHARED_BATCH, *peers],
                 {"work": "throughput", "size": size}, STREAM.name, size,
                 quick=size in QUICK_SIZES) for size in SIZES]


def ack_works() -> list[Work]:
    """shmq has no auto-ack: what was not acked comes again."""
    return [Work("ack", "auto-ack, ack each, ack in bulk: throughput, one producer, one consumer, 32 B",
                 "messages/s", False, ACKS, {"work": "throughput", "size": 32}, quick=False)]


def many_works() -> list[Work]:
    works = []
    for producers, consumers in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 4)]:
        works.append(Work(f"many/{producers}:{consumers}",
                          f"throughput, {producers} producers, {consumers} consumers on two processors, 32 B",
                          "messages/s", False, [SHARED, SHARED_BATCH, BOOST, POSIX_MQ, SEQPACKET, ZEROMQ, NNG],
                          {"work": "throughput", "size": 32, "producers": producers, "consumers": consumers},
                          quick=producers + consumers <= 4))
    return works


def loan_works() -> list[Work]:
    works = []
    for size in [4 * KIB, 64 * KIB, MIB, 4 * MIB]:
        works.append(Work(f"loan/{size}", f"hand-over by loan, nothing copied, one way, {size_name(size)}", "ns",
                          True, [HAND_OVER.having(HAND_OVER.name, size=32), EXCLUSIVE_LOAN, SHARED_LOAN, ICEORYX],
                          {"work": "latency", "spin": 1, "size": size, "touch": 0}, HAND_OVER.name, size,
                          quick=size in {4 * KIB, 4 * MIB}, figure=one_way))
    for size in [4 * KIB, 64 * KIB, MIB, 4 * MIB]:
        works.append(Work(f"touch/{size}",
                          f"the same by loan, every byte written and read, one way, {size_name(size)}", "ns", True,
                          [STREAM, EXCLUSIVE_LOAN, SHARED_LOAN, ICEORYX],
                          {"work": "latency", "spin": 1, "size": size}, STREAM.name, size,
                          quick=size == MIB, figure=one_way))
    return works


def open_loop_work(key: str, title: str, rate: float, quick: bool) -> Work:
    return Work(key, title, "ns", True, [IDLE_LOOP, EXCLUSIVE, SHARED, BOOST, ICEORYX],
                {"work": "open_loop", "spin": 1, "size": 64, "rate": int(rate)}, "", rate, 1.0, quick, one_way)


def open_loop_works() -> list[Work]:
    return [open_loop_work(f"open_loop/{rate}", f"open loop, {rate:,} messages a second, 64 B", rate,
                           rate == 100_000) for rate in OPEN_LOOP_RATES]


def half_peak_works(peaks: dict[str, float]) -> list[Work]:
    """At half of what each shmq has shown to be its peak in this run."""
    works = []
    for subject in (EXCLUSIVE, SHARED):
        if peaks.get(subject.name):
            work = open_loop_work(f"half_peak/{subject.name}", f"open loop at half of the peak of {subject.name}, 64 B",
                                  peaks[subject.name] / 2, True)
            work.subjects = [IDLE_LOOP, subject]
            works.append(work)
    return works


def broker_works() -> list[Work]:
    """Each level apart: they are never compared across."""
    return [Work(f"broker/{level}", f"throughput at the level `{level}`, one producer, one consumer, 1 KiB",
                 "messages/s", False, [shmq, *brokers], {"work": "throughput", "size": KIB}, seconds=seconds)
            for level, shmq, brokers, seconds in (("accepted", SHMQ_ACCEPTED, ACCEPTED_BROKERS, 1.0),
                                                  ("durable", SHMQ_DURABLE, DURABLE_BROKERS, 1.0))]


SECTIONS = {
    "latency": latency_works,
    "wake": wake_works,
    "throughput": throughput_works,
    "ack": ack_works,
    "many": many_works,
    "loan": loan_works,
    "open_loop": open_loop_works,
    "broker": broker_works,
}
