"""The connection to the daemon."""

from __future__ import annotations

from typing import Any

from . import _shmq
from ._handles import Consumer, Producer
from ._infos import DaemonInfo, QueueInfo, build, queue_info
from ._times import Duration, nanoseconds

_DURATIONS = ("lease", "retry_delay", "retry_delay_max")


def _options(given: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in given.items() if value is not None}
    for name in _DURATIONS:
        if name in options:
            options[name] = nanoseconds(options[name])
    return options


class Session(_shmq.Client):
    """A session with the daemon: makes, finds and removes queues, and opens them. `with` closes it;
    its producers and consumers go on. While the daemon is down, calls wait for its return up to the
    timeout of the connection; then NoDaemon."""

    def __init__(self, socket: str = "", *, start_daemon: bool = True, timeout: Duration = 10.0):
        super().__init__(socket, start_daemon, nanoseconds(timeout))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def declare(self, queue: str, *, must_be_new: bool = False, max_message: int | None = None,
                overflow: str | None = None, spill_limit: int | None = None,
                when_full: str | None = None, durability: str | None = None,
                lease: Duration | None = None, max_deliveries: int | None = None,
                dead_letter: str | None = None, retry_delay: Duration | None = None,
                retry_delay_max: Duration | None = None, pause_stopped: bool | None = None,
                exclusive_producer: bool | None = None, exclusive_consumer: bool | None = None,
                exact_timestamps: bool | None = None, mode: int | None = None,
                group: int | None = None, capacity: int | None = None,
                slot_size: int | None = None, pool: int | None = None,
                in_flight: int | None = None) -> None:
        """Creates the queue, or finds it with the same options: what is not given matches anything.
        With must_be_new it only creates.

        max_message: bytes of the largest message. overflow: `block`, `reject`, `drop_oldest` or
        `spill`. spill_limit: bytes on disk. when_full: `block` or `reject`, where the disk is full.
        durability: `accepted`, `logged` or `durable`. lease: how long a consumer may hold a message.
        max_deliveries: failures until a message is dead; 0: no limit. dead_letter: the queue for
        dead messages; empty: none. retry_delay: wait after a failure, doubled each time up to
        retry_delay_max. exclusive_producer, exclusive_consumer: one at a time. mode: rights, as of
        chmod. capacity: slots, a power of two. in_flight: unacked messages of a consumer.

        Raises QueueExists (other options), InvalidArgument, QuotaExceeded."""
        given = dict(locals())
        for name in ("self", "queue", "must_be_new", "__class__"):
            given.pop(name, None)
        self._make(queue, must_be_new, _options(given))

    def remove(self, queue: str, *, force: bool = False) -> None:
        """Raises QueueNotFound, QueueInUse (not with force), PermissionDenied."""
        self._remove(queue, force)

    def purge(self, queue: str) -> int:
        """Drops every message that nobody holds; how many went at once."""
        return self._purge(queue)

    def edit(self, queue: str, *, lease: Duration | None = None, in_flight: int | None = None,
             max_deliveries: int | None = None, dead_letter: str | None = None,
             retry_delay: Duration | None = None, retry_delay_max: Duration | None = None,
             pause_stopped: bool | None = None, mode: int | None = None, group: int | None = None,
             owner: int | None = None, overflow: str | None = None, spill_limit: int | None = None,
             when_full: str | None = None) -> None:
        """Changes what can change while the queue is in use; what is not given stays. All of it or
        nothing. As in declare; owner: a uid, for root and for whom the daemon runs as.

        Raises QueueNotFound, PermissionDenied, InvalidArgument, QuotaExceeded (of a new owner)."""
        given = dict(locals())
        for name in ("self", "queue", "__class__"):
            given.pop(name, None)
        self._edit(queue, _options(given))

    def pause(self, queue: str, side: str = "both") -> None:
        """From now on calls of that side (`both`, `producers` or `consumers`) that may block wait,
        and others raise Paused; acks and their like go on. Until resume, whoever restarts
        meanwhile. Raises QueueNotFound, PermissionDenied, InvalidArgument."""
        self._pause(queue, side, True)

    def resume(self, queue: str, side: str = "both") -> None:
        """Ends a pause. Raises QueueNotFound, PermissionDenied, InvalidArgument."""
        self._pause(queue, side, False)

    def info(self, queue: str) -> QueueInfo:
        """What is known about a queue. Raises QueueNotFound."""
        return queue_info(self._info(queue))

    def queues(self) -> list[QueueInfo]:
        """The same for all queues that the user has any right on, sorted by name."""
        return [queue_info(values) for values in self._list()]

    def status(self) -> DaemonInfo:
        """What is known about the daemon."""
        return build(DaemonInfo, self._status())

    def producer(self, queue: str) -> Producer:
        """Raises QueueNotFound, PermissionDenied, RoleTaken, QuotaExceeded, Incompatible."""
        return Producer(self, queue)

    def consumer(self, queue: str, *, in_flight: int = 0) -> Consumer:
        """in_flight: unacked messages that it may hold; 0: what the queue says. Raises as producer."""
        return Consumer(self, queue, in_flight=in_flight)


def connect(socket: str = "", *, start_daemon: bool = True, timeout: Duration = 10.0) -> Session:
    """Connects to the daemon: at `socket`, else $SHMQ_SOCKET, else the user's own (which is started
    if none answers, unless a socket is named), else the system's. timeout: for connecting and for
    each answer. Raises NoDaemon, Incompatible, PermissionDenied."""
    return Session(socket, start_daemon=start_daemon, timeout=timeout)
