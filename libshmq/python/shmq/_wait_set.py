"""Messages of many queues at once."""

from __future__ import annotations

import asyncio
import os
import select
import time
from typing import AsyncIterator

from . import _shmq
from ._handles import Consumer
from ._times import Duration, nanoseconds
from .errors import InFlightLimit, Interrupted, InvalidArgument, TimedOut


class WaitSet(_shmq.WaitSet):
    """Waits for messages of many queues: add consumers (127 at most, of any sessions), then

        for consumer in waits.wait():
            message = consumer.try_receive()   # another consumer of the queue may have been faster

    It takes no message itself. A consumer is ready when a message is there, and when its queue was
    removed or quarantined (receiving says so; take it out). One that holds as many messages as it may
    is passed over until the next call after it has ended some. A consumer is in one set at a time, and
    leaves it when it is closed. With asyncio: ready_async, or `async for consumer in waits`."""

    def __init__(self, *consumers: Consumer):
        super().__init__()
        self._members: dict[int, Consumer] = {}
        self._stopped = False
        for consumer in consumers:
            self.add(consumer)

    def __enter__(self) -> WaitSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets its consumers go, which stay as they are."""
        self._close()
        for consumer in self._members.values():
            consumer._wait_set = None
        self._members.clear()

    def add(self, consumer: Consumer) -> None:
        """Raises InvalidArgument (in a set already, or one too many), Closed, Forked."""
        self._add(consumer, id(consumer))
        self._members[id(consumer)] = consumer
        consumer._wait_set = self

    def remove(self, consumer: Consumer) -> None:
        """Raises InvalidArgument if it is not in this set."""
        self._remove(id(consumer))
        self._members.pop(id(consumer), None)
        consumer._wait_set = None

    def try_wait(self) -> list[Consumer]:
        """Those that are ready now, perhaps none; the first told changes from call to call. Never
        waits."""
        known = ((self._members.get(token)) for token in self._try_wait())
        return [consumer for consumer in known if consumer is not None]

    def wait(self, timeout: Duration | None = None) -> list[Consumer]:
        """Those that are ready, at least one. Raises TimedOut, Interrupted (by stop_waiting),
        InFlightLimit (all hold as many messages as they may), InvalidArgument (the set is empty)."""
        end = None if timeout is None else time.monotonic() + nanoseconds(timeout) / 1e9
        poll = select.poll()
        poll.register(self.descriptor(), select.POLLIN)
        while True:
            ready = self._look()
            if ready:
                return ready
            left = None if end is None else max(0.0, end - time.monotonic())
            if left == 0.0:
                raise TimedOut("no message came in time", "timed_out")
            # Rounded up: a wait does not end before its time.
            poll.poll(None if left is None else min(int(left * 1000) + 1, 2**31 - 1))

    def stop_waiting(self) -> None:
        """Makes a wait that sleeps now, or the next that would, raise Interrupted."""
        self._stopped = True
        os.write(self.descriptor(), (1).to_bytes(8, "little"))

    def _look(self) -> list[Consumer]:
        """One look of who would wait."""
        ready = self.try_wait()
        if ready:
            return ready
        if self._stopped:
            self._stopped = False
            raise Interrupted("the wait was ended by stop_waiting()", "interrupted")
        if len(self) == 0:
            raise InvalidArgument("the wait set has no consumers", "invalid_argument")
        if self._all_at_limit():
            raise InFlightLimit("all consumers of the wait set hold as many messages as they may",
                                "in_flight_limit")
        return []

    # ---- asyncio ----

    async def ready_async(self) -> list[Consumer]:
        """As wait, by the pollable descriptor: no thread of Python's waits. asyncio.timeout or
        wait_for bound it."""
        loop = asyncio.get_running_loop()
        descriptor = os.dup(self.descriptor())  # the loop knows one waiter a descriptor
        news = asyncio.Event()
        loop.add_reader(descriptor, news.set)
        try:
            while True:
                news.clear()
                ready = self._look()
                if ready:
                    return ready
                await news.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def __aiter__(self) -> AsyncIterator[Consumer]:
        """Each consumer that is ready, again and again, until stop_waiting()."""
        while True:
            try:
                ready = await self.ready_async()
            except Interrupted:
                return
            for consumer in ready:
                yield consumer
