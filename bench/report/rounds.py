"""Runs the works: round after round, everybody once a round, so that what the machine does to one it
does to all. A round that the host spoilt (it gave our time to other machines) is run again."""

import json
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from machine import Watch
from peers import Subject

SPOILT_SHARE = 0.02  # of the time, stolen
TRIES_MOST = 3


@dataclass
class Work:
    """One table of the report: the same work for each subject."""
    key: str
    title: str
    unit: str
    lower_is_better: bool
    subjects: list[Subject]
    arguments: dict
    limit: str = ""  # the subject that the others are compared with
    x: float = 0  # where it stands in a plot, such as a size
    seconds: float = 0.2
    quick: bool = True  # whether --quick has it
    figure: Callable[[dict], float] = lambda answer: answer["per_second"]


@dataclass
class Row:
    """What became of one subject in one work."""
    work: str
    subject: str
    figures: list[float] = field(default_factory=list)  # one a round
    answers: list[dict] = field(default_factory=list)
    stolen: list[float] = field(default_factory=list)
    foreign: list[float] = field(default_factory=list)
    repeated: int = 0
    failed: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures) if self.figures else 0.0

    def as_json(self) -> dict:
        return {"work": self.work, "subject": self.subject, "median": self.median,
                "low": min(self.figures, default=0), "high": max(self.figures, default=0),
                "figures": self.figures, "stolen": self.stolen, "foreign": self.foreign,
                "repeated": self.repeated, "failed": self.failed, "answers": self.answers}


class Runner:
    def __init__(self, bin_dir: Path, servers, real_time: bool, rounds: int, seconds_factor: float,
                 say: Callable[[str], None]):
        self.real_time = real_time
        self.bin_dir = bin_dir
        self.servers = servers
        self.rounds = rounds
        self.seconds_factor = seconds_factor
        self.say = say
        self.gone: dict[str, str] = {}  # subjects that failed: why

    def command(self, subject: Subject, work: Work) -> list[str]:
        arguments = {"directory": self.servers.directory, **work.arguments, **subject.arguments,
                     "seconds": work.seconds * self.seconds_factor}
        if not self.real_time:
            arguments["real_time"] = 0
        if subject.variant:
            arguments["variant"] = subject.variant
        if subject.server:
            arguments["server"] = self.servers.address(subject.server)
        return [str(self.bin_dir / subject.program),
                *(f"{name}={value}" for name, value in arguments.items())]

    def once(self, subject: Subject, work: Work) -> dict:
        done = subprocess.run(self.command(subject, work), capture_output=True, text=True,
                              timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip() or f"status {done.returncode}").splitlines()[0])
        return json.loads(done.stdout)

    def round(self, subject: Subject, work: Work, row: Row) -> None:
        """The least disturbed of at most TRIES_MOST tries."""
        best = None
        for attempt in range(TRIES_MOST):
            watch = Watch()
            answer = self.once(subject, work)
            disturbed = watch.disturbance()
            row.repeated += attempt > 0
            if best is None or disturbed.stolen < best[1].stolen:
                best = (answer, disturbed)
            if disturbed.stolen <= SPOILT_SHARE:
                break
        answer, disturbed = best
        row.figures.append(work.figure(answer))
        row.answers.append(answer)
        row.stolen.append(round(disturbed.stolen, 4))
        row.foreign.append(round(disturbed.foreign, 4))

    def missing(self, subject: Subject) -> str:
        """Why it cannot be measured, or nothing."""
        if not (self.bin_dir / subject.program).exists():
            return f"not built: {subject.package or subject.program} is missing"
        return self.servers.missing(subject.server) if subject.server else ""

    def run(self, work: Work) -> list[Row]:
        self.say(work.title)
        rows = [Row(work.key, subject.name) for subject in work.subjects]
        for row, subject in zip(rows, work.subjects):
            row.failed = self.missing(subject)
        for _ in range(self.rounds):
            for row, subject in zip(rows, work.subjects):
                if row.failed:
                    continue
                try:
                    self.round(subject, work, row)
                except (RuntimeError, subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
                    row.failed = str(failure)
        return rows


def ratio(rows: list[Row], of: str, to: str) -> float:
    """Median over the rounds of one subject's figure over another's; 0 where there is none."""
    by_name = {row.subject: row for row in rows}
    if of not in by_name or to not in by_name:
        return 0.0
    pairs = [a / b for a, b in zip(by_name[of].figures, by_name[to].figures) if b]
    return statistics.median(pairs) if pairs else 0.0
