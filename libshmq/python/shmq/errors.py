"""What can go wrong. Every error of shmq is an `Error`; many are also what Python calls such a thing."""

from __future__ import annotations


class Error(Exception):
    """Any error of shmq. Its text names the queue, the peer, the limit and the remedy where known.

    condition: what went wrong, for programs: `timed_out`, `queue_not_found`, ...
    os_error: the errno behind it, or 0.
    """

    condition: str
    os_error: int

    def __init__(self, message: str, condition: str = "system_error", os_error: int = 0):
        super().__init__(message)
        self.condition = condition
        self.os_error = os_error


# ---- Conditions of ordinary running ----


class TimedOut(Error, TimeoutError):
    """The timeout came first."""


class Full(Error):
    """No room: a send that may not wait, or a queue that rejects on overflow."""


class Stale(Error):
    """The message is no longer ours: its lease expired, or it was acked or given back before."""


class InFlightLimit(Error):
    """As many unacked messages are held as may be: ack some first."""


class QueueRemoved(Error):
    """A manager removed the queue."""


class TooBig(Error, ValueError):
    """Larger than the queue's max_message."""


class Interrupted(Error):
    """stop_waiting() was called."""


class Paused(Error):
    """A manager has paused this side of the queue: a call that may not wait says so."""


# ---- Refusals ----


class QueueNotFound(Error, LookupError):
    """There is no such queue."""


class QueueExists(Error):
    """There is such a queue, with other options than asked for."""


class PermissionDenied(Error, PermissionError):
    """The user has not the right that this needs."""


class RoleTaken(Error):
    """Another holds the exclusive role."""


class InvalidArgument(Error, ValueError):
    """A name, size or option is out of bounds."""


class QuotaExceeded(Error):
    """The user has used up what the daemon allows."""


class QueueInUse(Error):
    """Removing without force: the queue has messages or users."""


# ---- Failures ----


class NoDaemon(Error, ConnectionError):
    """No daemon answers, and none may or can be started."""


class ProtocolError(Error):
    """The daemon said what it should not."""


class Incompatible(Error):
    """The segment or the daemon is of another version."""


class Corrupt(Error):
    """Shared memory holds what it must not."""


class Forked(Error):
    """An object of the parent was used in a child of fork: connect anew there."""


class Closed(Error, ValueError):
    """The object was closed."""


class Quarantined(Error):
    """The queue was found damaged and is out of service."""


class SystemFailure(Error):
    """A system call failed; see os_error."""


class JournalFailed(Error):
    """The disk failed: nothing more is confirmed."""


_BY_CONDITION = {
    "timed_out": TimedOut,
    "full": Full,
    "stale": Stale,
    "in_flight_limit": InFlightLimit,
    "queue_removed": QueueRemoved,
    "too_big": TooBig,
    "interrupted": Interrupted,
    "paused": Paused,
    "queue_not_found": QueueNotFound,
    "queue_exists": QueueExists,
    "permission_denied": PermissionDenied,
    "role_taken": RoleTaken,
    "invalid_argument": InvalidArgument,
    "quota_exceeded": QuotaExceeded,
    "queue_in_use": QueueInUse,
    "no_daemon": NoDaemon,
    "protocol_error": ProtocolError,
    "incompatible": Incompatible,
    "corrupt": Corrupt,
    "forked": Forked,
    "closed": Closed,
    "quarantined": Quarantined,
    "system_error": SystemFailure,
    "journal_failed": JournalFailed,
}


def make(condition: str, message: str, os_error: int) -> Error:
    """The exception for a condition of libshmq; called by the native half."""
    return _BY_CONDITION.get(condition, Error)(message, condition, os_error)
