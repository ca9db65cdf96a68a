"""What is not a work of all subjects: what the daemon costs, the disk, and redelivery after a death."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from machine import read
from peers import Subject
from rounds import Row, Runner, Work
from servers import session_of

DAEMON = Subject("shmqd", "shmqd", "", "", "", "with its keeper, on an otherwise unused daemon", "shmq", "shmqd")
CLIENT = Subject("a client process", "peer_costs", "", "", "", "one producer, one consumer, asleep", "shmq", "shmqd")
PATIENCE_SECONDS = 30
Found = tuple[Work, list[Row]]


@dataclass
class Footprint:
    wakeups: int
    private_kb: int
    queues_kb: int
    descriptors: int


def footprint(pids: list[int]) -> Footprint:
    found = Footprint(0, 0, 0, 0)
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            found.wakeups += sum(int(line.split()[1]) for line in read(str(status)).splitlines()
                                 if "ctxt_switches" in line)
        # Its own memory, and that of the queues, which it maps and which belongs to them.
        sizes = {name: int(value.split()[0]) for name, _, value in
                 (line.partition(":") for line in read(f"/proc/{pid}/status").splitlines()) if name.startswith("Rss")}
        found.private_kb += sizes.get("RssAnon", 0)
        found.queues_kb += sizes.get("RssShmem", 0)
        found.descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return found


def table(key: str, title: str, unit: str, subject: Subject, figures: list[float] | None, failed: str = "",
          answers: list[dict] | None = None) -> Found:
    work = Work(key, title, unit, True, [subject], {})
    return work, [Row(key, subject.name, figures or [], answers or [], failed=failed)]


class Holder:
    """So many queues and clients, for as long as it is open."""

    def __init__(self, runner: Runner, queues: int, clients: int):
        self.process = subprocess.Popen(
            [runner.bin_dir / "peer_costs", "hold", runner.servers.address("shmqd"), str(queues), str(clients)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().strip().splitlines()[0])
        self.answer = json.loads(line)

    def __enter__(self) -> "Holder":
        return self

    def __exit__(self, *_) -> None:
        self.process.communicate()


def answers(address: str) -> bool:
    """A daemon answers no call before it has taken over what there is."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_SECONDS)
            client.connect(address)
            client.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
            return bool(client.recv(1))
    except ConnectionError:
        return False  # that one is dying yet


def take_over_s(address: str, pids: list[int]) -> float:
    """From SIGKILL of the daemon until its successor answers."""
    daemon = next(pid for pid in pids if read(f"/proc/{pid}/comm").strip() == "shmqd")
    pidfd = os.pidfd_open(daemon)
    began = time.monotonic()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [], PATIENCE_SECONDS)
    os.close(pidfd)
    while not answers(address):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError("no daemon came after the one that was killed")
    return time.monotonic() - began


def hold_tables(runner: Runner, queues: int, clients: int, seconds: float, key: str) -> Iterator[Found]:
    """The daemon before, and with all of that idle; then it is killed."""
    address = runner.servers.address("shmqd")
    pids = session_of(runner.servers.pid("shmqd"))
    before = footprint(pids)
    what = f"{queues:,} idle queues, {clients} idle clients"
    try:
        with Holder(runner, queues, clients) as held:
            time.sleep(1)
            start, began = footprint(pids), time.monotonic()
            client = footprint([held.answer["client_pid"]])
            time.sleep(seconds)
            now, elapsed = footprint(pids), time.monotonic() - began
            taken_over = take_over_s(address, pids)
    except RuntimeError as failure:
        yield table(f"{key}/wakeups", f"{what}: wake-ups a second", "/s", DAEMON, None, str(failure))
        return
    answers = [held.answer]
    yield table(f"{key}/wakeups", f"{what}: wake-ups a second", "/s", DAEMON,
                [(now.wakeups - start.wakeups) / elapsed], answers=answers)
    yield table(f"{key}/private", f"{what}: private resident memory", "MiB", DAEMON, [now.private_kb / 1024])
    yield table(f"{key}/growth", f"{what}: the daemon's own memory for each queue", "KiB",
                DAEMON, [(now.private_kb - before.private_kb) / queues])
    yield table(f"{key}/queue", f"{what}: shared memory of each queue", "KiB",
                DAEMON, [(now.queues_kb - before.queues_kb) / queues])
    yield table(f"{key}/client", f"{what}: private memory of a client", "KiB", CLIENT, [client.private_kb])
    yield table(f"{key}/descriptors", f"{what}: descriptors of daemon and keeper", "", DAEMON, [now.descriptors])
    yield table(f"{key}/take_over", f"{what}: from SIGKILL of the daemon until its successor answers", "ns",
                DAEMON, [taken_over * 1e9])
    yield table(f"{key}/create", f"{what}: to create a queue", "ns", DAEMON,
                [held.answer["create_s"] / queues * 1e9])
    yield table(f"{key}/attach", f"{what}: to start a client process and attach it", "ns", DAEMON,
                [held.answer["attach_s"] / clients * 1e9])


def call_tables(runner: Runner) -> Iterator[Found]:
    """Connect, create, attach, detach, remove."""
    rounds = []
    for _ in range(runner.rounds):
        done = subprocess.run([runner.bin_dir / "peer_costs", "calls", runner.servers.address("shmqd"),
                               str(0.5 * runner.seconds_factor)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield table("calls/all", "calls that the daemon answers", "ns", DAEMON, None, done.stderr.strip())
            return
        rounds.append(json.loads(done.stdout))
    for name in rounds[0]:
        yield table(f"calls/{name}", f"time of a call: {name}", "ns", DAEMON, [one[name]["p50"] for one in rounds],
                    answers=[{"times": one[name]} for one in rounds])


def daemon_tables(runner: Runner, quick: bool) -> Iterator[Found]:
    yield from call_tables(runner)
    yield from hold_tables(runner, 1000, 100, 5 if quick else 30, "idle")
    if not quick:
        yield from hold_tables(runner, 10_000, 500, 10, "scale")


def redelivery_tables(runner: Runner, quick: bool) -> Iterator[Found]:
    """From SIGKILL of who holds 10,000 messages until another has them: redelivery_bench."""
    program = runner.bin_dir / "redelivery_bench"
    title = "redelivery of 10,000 messages after SIGKILL"
    if not program.exists():
        yield table("redelivery/all", title, "ns", DAEMON, None, "not built: libbenchmark-dev is missing")
        return
    done = subprocess.run(["chrt", "-r", "10", program, "--benchmark_format=json"] if runner.real_time else
                          [program, "--benchmark_format=json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield table("redelivery/all", title, "ns", DAEMON, None, done.stderr.strip())
        return
    counters = json.loads(done.stdout)["benchmarks"][0]
    for name, what in (("first_p50_us", "until the first has come, median"),
                       ("first_p99_us", "until the first has come, p99"),
                       ("last_p50_us", "until the last is acked, median"),
                       ("dead_p50_us", "until the kernel reports the death, median: the limit"),
                       ("wake_p99_us", "a wake-up of a sleeping receiver in the same rounds, p99")):
        yield table(f"redelivery/{name}", f"{title}: {what}", "ns", DAEMON, [counters[name] * 1000])


def disk_tables(runner: Runner, quick: bool) -> Iterator[Found]:
    """The journal beside fio and fdatasync on the same disk: journal_bench."""
    program = runner.bin_dir / "journal_bench"
    disk = Subject("journal", "journal_bench", "", "libbenchmark-dev, fio", "", "see journal_bench.cpp", "shmq")
    if not program.exists():
        yield table("disk/all", "the journal and the disk", "", disk, None, "not built: libbenchmark-dev is missing")
        return
    found = runner.servers.directory / "journal.json"
    done = subprocess.run([program, f"--json={found}", f"--rounds={2 if quick else 5}",
                           f"--megabytes={128 if quick else 512}", f"--directory={runner.servers.directory}"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield table("disk/all", "the journal and the disk", "", disk, None, done.stderr.strip())
        return
    for one in json.loads(found.read_text()):
        limit = Subject(one["limit_name"], "journal_bench", "", "fio", "none", "the same disk, alone", "limit")
        work = Work(f"disk/{one['key']}", f"journal: {one['title']}", one["unit"], one["lower_is_better"],
                    [limit, disk], {}, limit.name)
        yield work, [Row(work.key, limit.name, [one["limit"]]), Row(work.key, disk.name, [one["figure"]])]


def raise_limit_of_descriptors() -> None:
    """What the servers inherit: as many as may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


QUESTIONS: dict[str, Callable[[Runner, bool], Iterator[Found]]] = {
    "daemon": daemon_tables,
    "redelivery": redelivery_tables,
    "disk": disk_tables,
}
