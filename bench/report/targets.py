"""What the project has set itself, each a ratio within one run: the figure, the bound, met or by how
much it is missed."""

import statistics
from dataclasses import dataclass
from typing import Callable

from rounds import Row, ratio

Rows = dict[str, list[Row]]  # by the key of the work


@dataclass
class Target:
    text: str
    measure: Callable[[Rows], float]  # 0: not measured in this run
    bound: float
    at_most: bool = False  # else at least
    form: str = "{:.2f}"
    bounded_by: str = ""  # what stands in the way where it is missed, as far as known

    def judge(self, rows: Rows) -> dict:
        figure = self.measure(rows)
        if not figure:
            verdict = "not measured"
        elif figure <= self.bound if self.at_most else figure >= self.bound:
            verdict = "met"
        else:
            off = figure / self.bound - 1 if self.at_most else 1 - figure / self.bound
            verdict = f"missed by {100 * off:.0f} %"
        return {"target": self.text, "bound": ("at most " if self.at_most else "at least ") +
                self.form.format(self.bound), "measured": self.form.format(figure) if figure else "-",
                "verdict": verdict, "figure": figure,
                "bounded_by": self.bounded_by if verdict.startswith("missed") else ""}


def ratio_in(work: str, of: str, to: str) -> Callable[[Rows], float]:
    return lambda rows: ratio(rows.get(work, []), of, to)


def median_of(work: str, subject: str, scale: float = 1.0) -> Callable[[Rows], float]:
    return lambda rows: next((row.median * scale for row in rows.get(work, []) if row.subject == subject), 0.0)


def across(of_work: str, of: str, to_work: str, to: str) -> Callable[[Rows], float]:
    """Between two works; their medians, for their rounds are not the same."""
    def measure(rows: Rows) -> float:
        below = median_of(to_work, to)(rows)
        return median_of(of_work, of)(rows) / below if below else 0.0
    return measure


def tail_at_half_peak(subject: str) -> Callable[[Rows], float]:
    """p99.9 over what it may be: ten times the median, or the idle loop's p99.9 where that is more. The
    median is the best of the rounds': one that a stall has raised must not excuse the stall, and none
    excuses anything where the rate was not held."""
    def measure(rows: Rows) -> float:
        by_name = {row.subject: row for row in rows.get(f"half_peak/{subject}", [])}
        ours, idle = by_name.get(subject), by_name.get("idle spin loop")
        if ours is None or idle is None or not ours.answers:
            return 0.0
        peak = median_of("throughput/64", subject)(rows)
        held = statistics.median(answer["held_rate"] for answer in ours.answers) >= 0.98 * peak / 2
        median = min(ours.figures) if held else 0.0
        return statistics.median(
            answer["times"]["p99.9"] / max(10 * median, beside["times"]["p99.9"])
            for answer, beside in zip(ours.answers, idle.answers))
    return measure


SECOND_LINE = ("the second cache line of the slot, which passes only when the first has come; to ask for it earlier "
               "takes it from who is about to write it (docs/decisions/0044)")
INSTRUCTIONS = ("the consumer's instructions (tests/budget: 157 to receive and ack one message, about 12 ns); the bare "
                "stream copies and no more (docs/decisions/0016)")
MEETING = ("the passage of a line there and back at every slot, when the receiver keeps up and meets its sender there: "
           "at that pace the rate is not held, and what comes late waits")
COPIES = "copying 1 KiB in and out: so many times this broker is more than the bare copy of this machine"

EXCLUSIVE, SHARED, BARE, STREAM = "shmq exclusive", "shmq shared", "bare hand-over", "bare stream"


def latency_targets() -> list[Target]:
    targets = []
    for subject, bounds in ((EXCLUSIVE, {32: 1.1, 64: 1.2}), (SHARED, {32: 1.35, 64: 1.5})):
        for size, bound in bounds.items():
            targets.append(Target(f"one-way latency, spinning, {subject[5:]}, acked, {size} B: of the bare hand-over",
                                  ratio_in(f"latency/{size}", subject, BARE), bound, True,
                                  bounded_by=SECOND_LINE if size > 32 else ""))
    targets.append(Target("receiver asleep, back and forth: of a bare futex hand-over",
                          ratio_in("wake/100", EXCLUSIVE, BARE), 1.15, True))
    return targets


def throughput_targets() -> list[Target]:
    targets = [
        Target("1:1 exclusive, each acked, 32 B: million/s", median_of("throughput/32", EXCLUSIVE, 1e-6), 80,
               bounded_by=INSTRUCTIONS),
        Target("1:1 exclusive, each acked, 64 B: million/s", median_of("throughput/64", EXCLUSIVE, 1e-6), 65),
        Target("1:1 exclusive, each acked, 1 KiB: GB/s", median_of("throughput/1024", EXCLUSIVE, 1024e-9), 5),
        Target("1:1 exclusive, each acked, 32 B: of a bare stream of 64-byte slots",
               ratio_in("throughput/32", EXCLUSIVE, STREAM), 0.8, bounded_by=INSTRUCTIONS)]
    for peer, times in (("Boost message_queue", 15), ("iceoryx", 30), ("ZeroMQ", 10)):
        targets.append(Target(f"1:1 exclusive, each acked, 64 B: times {peer}",
                              ratio_in("throughput/64", EXCLUSIVE, peer), times, form="{:.1f}"))
    targets += [
        Target("shared both sides, each acked, 32 B: million/s", median_of("throughput/32", SHARED, 1e-6), 28),
        Target("shared both sides, each acked, 64 B: million/s", median_of("throughput/64", SHARED, 1e-6), 25)]
    for many in ("2:1", "1:2", "2:2"):
        targets.append(Target(f"{many} shared on two processors: of 1:1 shared",
                              across(f"many/{many}", SHARED, "many/1:1", SHARED), 0.6))
    return targets


def large_targets() -> list[Target]:
    loan, mib = "shmq exclusive, loan", 1 << 20
    targets = [
        Target("hand-over of 4 MiB by loan: of 4 KiB", across(f"loan/{4 * mib}", loan, "loan/4096", loan), 1.1, True),
        Target("4 MiB by loan, every byte written and read: of the bare copy",
               ratio_in(f"touch/{4 * mib}", loan, STREAM), 1.05, True),
        Target("1 MiB by loan, every byte written and read: of the bare copy",
               ratio_in(f"touch/{mib}", loan, STREAM), 1.05, True)]
    for size, name in ((4096, "4 KiB"), (65536, "64 KiB"), (mib, "1 MiB"), (4 * mib, "4 MiB")):
        targets.append(Target(f"hand-over of {name} by loan: of iceoryx's latency",
                              ratio_in(f"loan/{size}", loan, "iceoryx"), 0.5, True))
    for size, name in ((4096, "4 KiB"), (65536, "64 KiB"), (mib, "1 MiB")):
        targets.append(Target(f"copied messages of {name}: of a bare copy in and out",
                              ratio_in(f"throughput/{size}", EXCLUSIVE, STREAM), 0.9))
    return targets


def other_targets() -> list[Target]:
    targets = []
    for level, times in (("accepted", 100), ("durable", 5)):
        for broker in ("RabbitMQ", "Redis Streams", "beanstalkd"):
            targets.append(Target(f"throughput at `{level}`: times {broker}",
                                  ratio_in(f"broker/{level}", "shmq", broker), times, form="{:.1f}",
                                  bounded_by=COPIES if level == "accepted" else ""))
    for subject in (EXCLUSIVE, SHARED):
        targets.append(Target(f"p99.9 at half of peak, {subject[5:]}: of 10 medians or the idle loop's p99.9",
                              tail_at_half_peak(subject), 1.0, True, bounded_by=MEETING))
    targets += [
        Target("idle daemon, 1,000 idle queues, 100 idle clients: wake-ups a second",
               median_of("idle/wakeups", "shmqd"), 1.0, True),
        Target("the same: private memory, MiB", median_of("idle/private", "shmqd"), 16.0, True)]
    return targets


def judge(rows: Rows) -> list[dict]:
    return [target.judge(rows) for target in
            latency_targets() + throughput_targets() + large_targets() + other_targets()]
