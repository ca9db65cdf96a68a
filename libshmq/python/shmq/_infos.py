"""What can be known about queues, the daemon, and dead letters. Newer libraries may add fields."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

_T = TypeVar("_T")


def build(kind: type[_T], values: dict[str, Any]) -> _T:
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})


@dataclasses.dataclass(frozen=True)
class QueueOptions:
    """Options of a queue as in force; times in seconds, sizes in bytes. See Session.declare."""

    max_message: int
    overflow: str
    spill_limit: int
    when_full: str
    durability: str
    lease: float
    max_deliveries: int
    dead_letter: str
    retry_delay: float
    retry_delay_max: float
    pause_stopped: bool
    exclusive_producer: bool
    exclusive_consumer: bool
    exact_timestamps: bool
    mode: int
    capacity: int
    slot_size: int
    pool: int
    in_flight: int


@dataclasses.dataclass(frozen=True)
class QueueInfo:
    """Counts and totals of a queue as of one look."""

    name: str
    options: QueueOptions
    owner_uid: int
    group_gid: int
    quarantined: bool
    producers_paused: bool  # their calls wait, or raise Paused
    consumers_paused: bool
    ready: int  # waiting for their first delivery, spilled ones included
    leased: int  # held by consumers
    returned: int  # waiting to be delivered again
    delayed: int  # waiting until they are due to be delivered again
    held: int  # waiting for room in the dead-letter queue
    alarm: str  # what somebody has to look after; empty: nothing
    gate: str  # none, direct, journal or closing
    journal: str  # none, ok, no_room, failed or recovering
    spilled: int
    spilled_bytes: int
    journal_bytes: int
    syncs: int
    logged: int
    durable: int
    recovery_bytes: int  # of the journal, while it is recovering; 0: not known yet
    recovered_bytes: int  # of those, read
    sent: int
    sent_bytes: int
    delivered: int
    acked: int
    redelivered: int
    dropped: int  # every message not delivered, whatever the reason:
    dropped_oldest: int
    dropped_rejected: int
    dropped_damaged: int
    dropped_failed: int
    purged: int
    expired: int
    reclaimed: int
    dead_lettered: int  # moved to the dead-letter queue, whatever the reason:
    dead_rejected: int
    dead_expired: int
    dead_crashed: int
    dead_limit: int
    moved_in: int
    redriven: int
    producers: int
    consumers: int
    memory_bytes: int


@dataclasses.dataclass(frozen=True)
class DaemonInfo:
    """What the daemon says about itself."""

    pid: int
    version: str
    socket: str
    queues: int
    sessions: int
    uptime: float  # seconds
    deaths: int  # processes that died attached
    reclaimed: int  # messages given back for them
    restarts: int
    adopted: int
    recovering: int  # queues whose journals are being read
    state_directory: str  # where journals live; empty: nowhere
    alarm: str


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """What a message from a dead-letter queue has behind it. Times are seconds of time.monotonic()."""

    reason: str  # rejected, expired, crashed:SIGSEGV, crashed:exit-1, crashed or max-deliveries
    source: str
    sequence: int
    deliveries: int
    failures: int
    first_failure: float
    last_failure: float
    moved: float
    pid: int
    uid: int
    executable: str
    redriven: int
    last_redriven: float


def queue_info(values: dict[str, Any]) -> QueueInfo:
    return build(QueueInfo, {**values, "options": build(QueueOptions, values["options"])})
