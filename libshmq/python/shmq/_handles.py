"""Producers, consumers and messages: the native ones with defaults, context managers and asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, TypeVar

from . import _shmq
from ._infos import DeadLetter, build
from ._shmq import Loan, Message
from ._times import Duration, nanoseconds
from .errors import Full, Interrupted, Paused, TimedOut

if TYPE_CHECKING:
    from ._session import Session
    from ._wait_set import WaitSet

_T = TypeVar("_T")


class _Waiter:
    """Blocking calls of one handle for an event loop: a thread of its own, which sleeps in libshmq.
    A task that is cancelled ends its call, and no other."""

    def __init__(self, name: str, cancel: Callable[[_shmq.Cancel], None]):
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._cancel = cancel

    async def run(self, call: Callable[[_shmq.Cancel], _T]) -> _T:
        cancel = _shmq.Cancel()
        task = self._pool.submit(call, cancel)
        try:
            return await asyncio.wrap_future(task)
        except asyncio.CancelledError:
            # A message that comes at this very moment is dropped with the result: it goes back.
            self._cancel(cancel)
            raise

    def close(self) -> None:
        self._pool.shutdown(wait=False)


class Producer(_shmq.Producer):
    """Sends to one queue. What was sent when a call returned is in the queue until acked, dropped
    under a counted reason, or purged. `data` is bytes, anything with a buffer, or a str (as UTF-8)."""

    def __init__(self, session: Session, queue: str):
        super().__init__(session, queue)
        self._waiter: _Waiter | None = None

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Detaches; what was sent stays. Ends a call that blocks in another thread."""
        if self._waiter is not None:
            self._waiter.close()
        super().close()

    def send(self, data: Any, timeout: Duration | None = None) -> None:
        """Copies the payload and sends it; waits for room up to the timeout. Raises TimedOut, Full (a
        queue that rejects), TooBig, QueueRemoved, Quarantined, Interrupted."""
        self._send(data, nanoseconds(timeout), None)

    def try_send(self, data: Any) -> bool:
        """Never waits: False if there is no room. Raises Paused while a manager holds senders up."""
        try:
            self._send(data, 0, None)
        except Full:
            return False
        return True

    def send_batch(self, payloads: Iterable[Any], timeout: Duration | None = None) -> int:
        """Sends in order, paying once what can be shared. How many were sent: all, or fewer if the
        timeout came or an error after the first; the error itself only if none was sent."""
        return self._send_batch(payloads, nanoseconds(timeout))

    def loan(self, size: int, timeout: Duration | None = None) -> Loan:
        """Memory of the queue to build a message of `size` bytes in, without a copy:

            with producer.loan(1000) as loan:
                loan.data[:] = pixels
                loan.send()
        """
        return self._loan(size, nanoseconds(timeout))

    def await_confirm(self, level: str = "durable", *, receipt: int | None = None,
                      timeout: Duration | None = None) -> None:
        """Waits until all sent so far (or up to that receipt) is `logged` or `durable`. Raises
        TimedOut, InvalidArgument (the queue does not promise as much), JournalFailed."""
        wanted = self.last_receipt if receipt is None else receipt
        self._await_confirm(wanted, level, nanoseconds(timeout))

    # ---- asyncio ----

    async def send_async(self, data: Any) -> None:
        """As send. Only where there is no room, or a pause, it takes a thread, which sleeps."""
        try:
            self._send(data, 0, None)
        except (Full, Paused):
            if self._waiter is None:
                self._waiter = _Waiter("shmq-producer", self._cancel)
            await self._waiter.run(lambda cancel: self._send(data, nanoseconds(None), cancel))

    async def confirm_async(self, level: str = "durable", *, receipt: int | None = None) -> None:
        """As await_confirm, by the pollable descriptor: no thread of Python's waits."""
        wanted = self.last_receipt if receipt is None else receipt
        loop = asyncio.get_running_loop()
        descriptor = os.dup(self.confirm_descriptor())  # the loop knows one waiter a descriptor
        news = asyncio.Event()
        loop.add_reader(descriptor, news.set)
        try:
            while not self.is_confirmed(wanted, level):
                news.clear()
                if self.is_confirmed(wanted, level):
                    break
                try:
                    self._await_confirm(wanted, level, 0)  # raises if there will be no more
                except TimedOut:
                    await news.wait()
                    try:
                        os.read(descriptor, 8)
                    except BlockingIOError:
                        pass
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


class Consumer(_shmq.Consumer):
    """Receives from one queue: at least once each message, exactly once while nobody dies and no lease
    runs out. Returned messages come before new ones. Iterating waits for ever, until stop_waiting()."""

    def __init__(self, session: Session, queue: str, *, in_flight: int = 0):
        super().__init__(session, queue, in_flight)
        self._waiter: _Waiter | None = None
        self._wait_set: WaitSet | None = None

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # What the error left in some frame must not hide the error.
        self._end(kind is not None)

    def close(self) -> None:
        """Detaches; what it holds goes back to the queue at once. Ends a call that blocks in another
        thread. BufferError while views of its messages are in use."""
        self._end(False)

    def _end(self, whatever_is_seen: bool) -> None:
        if self._wait_set is not None:
            self._wait_set.remove(self)
        self._close(whatever_is_seen)
        if self._waiter is not None:
            self._waiter.close()

    def receive(self, timeout: Duration | None = None) -> Message:
        """Waits for a message. Raises TimedOut, InFlightLimit, QueueRemoved, Quarantined,
        Interrupted (by stop_waiting)."""
        return self._receive(nanoseconds(timeout), None)

    def receive_batch(self, most: int, timeout: Duration | None = None) -> list[Message]:
        """Up to `most` messages that are there now; waits for the first of them."""
        return self._receive_batch(most, nanoseconds(timeout))

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        try:
            return self._receive(-1, None)
        except Interrupted:
            raise StopIteration from None

    # ---- asyncio ----

    async def receive_async(self) -> Message:
        """As receive. Only where there is nothing it takes a thread, which sleeps; asyncio.timeout or
        wait_for bound it. One that is cancelled takes no message."""
        try:
            message = self.try_receive()
        except Paused:
            message = None
        if message is not None:
            return message
        if self._waiter is None:
            self._waiter = _Waiter("shmq-consumer", self._cancel)
        return await self._waiter.run(lambda cancel: self._receive(-1, cancel))

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive_async()
        except Interrupted:
            raise StopAsyncIteration from None


# ---- Message and Loan are native alone; what is easier said in Python is added here ----


def _enter(self: _T) -> _T:
    return self


def _message_exit(self: Message, kind: object, *_: object) -> None:
    if self.ended:
        return
    if kind is None:
        self.ack()
    else:
        try:
            self._nack(-1)
        except BufferError:
            pass  # the error's own frames still see it; it goes back with them


def _nack(self: Message, delay: Duration | None = None) -> None:
    """Not now: back to the queue, before new messages; after `delay`, else at once or after the
    queue's retry delay. Does not count as a failure. Raises Stale."""
    self._nack(nanoseconds(delay))


def _extend(self: Message, lease: Duration | None = None) -> None:
    """Renews the lease for the queue's lease time, or for `lease` from now. Raises Stale."""
    self._extend(nanoseconds(lease))


def _history(self: Message) -> DeadLetter | None:
    """What it has behind it, if it ever was a dead letter."""
    values = self._history()
    return None if values is None else build(DeadLetter, values)


def _text(self: Message) -> str:
    """The payload, decoded from UTF-8 (a copy)."""
    return str(self, "utf-8")


def _loan_send(self: Loan, timeout: Duration | None = None) -> None:
    """Sends it without copying. It is spent then; after an error it stays usable. BufferError while
    what was made from `data` is in use. Raises as Producer.send."""
    self._send(nanoseconds(timeout))


def _loan_exit(self: Loan, *_: object) -> None:
    self.give_back()


def _add(kind: Any, **members: Any) -> None:
    for name, member in members.items():
        setattr(kind, name, member)


_add(Message, __enter__=_enter, __exit__=_message_exit, nack=_nack, extend=_extend,
     history=_history, text=property(_text))
_add(Loan, __enter__=_enter, __exit__=_loan_exit, send=_loan_send)
