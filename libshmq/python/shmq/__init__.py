"""shmq: a message queue between the processes of one host, in shared memory.

    import shmq

    with shmq.connect() as session:
        session.declare("jobs")
        with session.producer("jobs") as producer:
            producer.send(b"hello")
        with session.consumer("jobs") as consumer:
            for message in consumer:          # for ever; waits where there is nothing
                with message:                 # acks at its end; gives back if the block raises
                    handle(message.data)      # a memoryview of the shared memory: no copy

Each message goes to one consumer, who acks it, gives it back (nack) or rejects it; one whose consumer
dies comes again, marked as redelivered. Every call may be made from any thread, and waits without the
interpreter's lock. Timeouts are seconds (a number or a timedelta); None waits for ever. Children of
fork get Forked and connect anew. With asyncio: `async for`, receive_async, send_async, confirm_async.
Many queues at once: WaitSet.
"""

from __future__ import annotations

from ._handles import Consumer, Loan, Message, Producer
from ._infos import DaemonInfo, DeadLetter, QueueInfo, QueueOptions
from ._session import Session, connect
from ._shmq import version
from ._wait_set import WaitSet
from .errors import (Closed, Corrupt, Error, Forked, Full, Incompatible, InFlightLimit, Interrupted,
                     InvalidArgument, JournalFailed, NoDaemon, Paused, PermissionDenied,
                     ProtocolError, Quarantined, QueueExists, QueueInUse, QueueNotFound,
                     QueueRemoved, QuotaExceeded, RoleTaken, Stale, SystemFailure, TimedOut, TooBig)

__version__ = version()

__all__ = [
    "Closed", "Consumer", "Corrupt", "DaemonInfo", "DeadLetter", "Error", "Forked", "Full",
    "InFlightLimit", "Incompatible", "Interrupted", "InvalidArgument", "JournalFailed", "Loan",
    "Message", "NoDaemon", "Paused", "PermissionDenied", "Producer", "ProtocolError", "Quarantined",
    "QueueExists", "QueueInUse", "QueueInfo", "QueueNotFound", "QueueOptions", "QueueRemoved",
    "QuotaExceeded", "RoleTaken", "Session", "Stale", "SystemFailure", "TimedOut", "TooBig",
    "WaitSet", "connect", "version",
]
