#!/usr/bin/env python3
"""The Python package, call by call, against a daemon of its own."""

import asyncio
import datetime
import gc
import os
import threading
import time
import unittest

import shmq
from python_support import DaemonTest


class PythonApiTest(DaemonTest):
    def setUp(self) -> None:
        self.session = shmq.connect()
        self.addCleanup(self.session.close)

    def open(self, **options: object) -> tuple[shmq.Producer, shmq.Consumer]:
        self.session.declare(self.queue, must_be_new=True, **options)
        producer, consumer = self.session.producer(self.queue), self.session.consumer(self.queue)
        self.addCleanup(producer.close)
        self.addCleanup(consumer.close)
        return producer, consumer

    # ---- Messages ----

    def test_what_is_sent_comes(self) -> None:
        producer, consumer = self.open()
        for data in (b"bytes", bytearray(b"array"), memoryview(b"xviewx")[1:5], "wörter", b""):
            producer.send(data)
        texts = [consumer.receive(timeout=30).text for _ in range(1)]
        self.assertEqual(texts, ["bytes"])
        gc.collect()  # dropped: it comes again, first and marked
        received = [consumer.receive() for _ in range(5)]
        self.assertEqual([bytes(message) for message in received],
                         [b"bytes", b"array", b"view", "wörter".encode(), b""])
        self.assertEqual([message.redelivered for message in received],
                         [True, False, False, False, False])
        self.assertEqual(consumer.ack(received), 5)
        self.assertTrue(all(message.ended for message in received))
        self.assertIsNone(consumer.try_receive())
        self.assertEqual(self.session.info(self.queue).acked, 5)

    def test_with_acks_or_gives_back(self) -> None:
        producer, consumer = self.open()
        producer.send(b"job")
        with self.assertRaises(RuntimeError):
            with consumer.receive():
                raise RuntimeError
        with consumer.receive() as message:
            self.assertEqual(message.deliveries, 2)
            self.assertTrue(message.still_held)
            message.extend()
            message.extend(datetime.timedelta(seconds=1))
        self.assertFalse(message.still_held)
        with self.assertRaises(shmq.Stale):
            message.ack()
        self.assertEqual(self.session.info(self.queue).acked, 1)

    def test_nack_and_reject(self) -> None:
        producer, consumer = self.open()
        producer.send(b"job")
        message = consumer.receive()
        with self.assertRaises(ValueError):
            message.nack(delay=-1)
        with self.assertRaises(shmq.InvalidArgument):
            message.nack(datetime.timedelta(days=31))
        message.nack(delay=0.01)
        message = consumer.receive()
        self.assertIsNone(message.history())
        message.reject()
        self.session.declare(self.queue + ".dlq")
        with self.session.consumer(self.queue + ".dlq") as graves, graves.receive(30) as dead:
            self.assertEqual(dead.history().reason, "rejected")
            self.assertEqual(dead.history().source, self.queue)

    def test_a_pause_holds_up_who_waits_and_tells_who_does_not(self) -> None:
        producer, consumer = self.open()
        producer.send(b"before")
        self.shmq("pause", self.queue)
        with self.assertRaises(shmq.Paused):
            producer.try_send(b"x")
        with self.assertRaisesRegex(shmq.Paused, "shmq resume"):
            consumer.try_receive()
        for wait in (lambda: producer.send(b"x", timeout=0.01),
                     lambda: consumer.receive(timeout=0.01)):
            with self.assertRaises(shmq.TimedOut):
                wait()

        async def both_ways() -> shmq.Message:
            sending = asyncio.create_task(producer.send_async(b"after"))
            receiving = asyncio.create_task(consumer.receive_async())
            await asyncio.sleep(0.05)
            self.assertFalse(sending.done() or receiving.done())
            self.shmq("resume", self.queue)
            await sending
            return await receiving

        with asyncio.run(both_ways()) as message:
            self.assertEqual(bytes(message), b"before")
        self.assertEqual(bytes(consumer.receive()), b"after")

    # ---- Memory ----

    def test_a_view_ends_with_its_message(self) -> None:
        producer, consumer = self.open()
        producer.send(b"x" * 5000)
        message = consumer.receive()
        view = message.data
        self.assertTrue(view.readonly)
        self.assertIs(view, message.data)
        message.ack()
        with self.assertRaises(ValueError):
            view[0]
        with self.assertRaises(BufferError):
            message.data

    def test_what_is_made_from_a_view_holds_the_message(self) -> None:
        producer, consumer = self.open()
        producer.send(b"x" * 5000)
        message = consumer.receive()
        part = message.data[1:]
        for verb in (message.ack, message.nack, message.reject, consumer.close,
                     lambda: consumer.ack([message])):
            with self.assertRaises(BufferError):
                verb()
        self.assertTrue(message.still_held)
        self.assertEqual(part[0], ord("x"))
        del message
        gc.collect()
        self.assertEqual((part[0], consumer.in_flight), (ord("x"), 1))
        part.release()
        gc.collect()
        self.assertEqual(consumer.in_flight, 0)
        with consumer.receive() as message:
            self.assertTrue(message.redelivered)

    def test_loans(self) -> None:
        producer, consumer = self.open()
        with producer.loan(5000) as loan:
            loan.data[:5] = b"first"
            part = loan.data[5:]
            with self.assertRaises(BufferError):
                loan.send()
            part.release()
            loan.shrink(5)
            loan.send()
            with self.assertRaises(shmq.InvalidArgument):
                loan.send()
        with producer.loan(10):
            pass  # given back
        self.assertEqual(consumer.receive().text, "first")
        with self.assertRaises(shmq.TooBig):
            producer.loan(2**40)

    # ---- Waiting ----

    def test_timeouts(self) -> None:
        producer, consumer = self.open(capacity=64)
        for timeout in (0, 0.01, datetime.timedelta(milliseconds=1)):
            with self.assertRaises(TimeoutError) as raised:
                consumer.receive(timeout)
        self.assertIsInstance(raised.exception, shmq.TimedOut)
        self.assertEqual(raised.exception.condition, "timed_out")
        self.assertEqual(producer.send_batch([b"x"] * 100, timeout=0.2), 64)
        self.assertFalse(producer.try_send(b"x"))
        with self.assertRaises(shmq.TimedOut):
            producer.send(b"x", timeout=0.01)
        # A consumer may hold half of the ring.
        self.assertEqual(len(consumer.receive_batch(50)), 32)

    def test_others_get_on_while_one_waits(self) -> None:
        producer, consumer = self.open()
        producer.send(b"first")
        first = consumer.receive()
        got = []
        waiting = threading.Thread(target=lambda: got.extend(consumer))
        waiting.start()
        time.sleep(0.05)  # no test of time: it may as well not wait yet
        first.ack()  # would hang for ever behind the one that waits
        self.assertEqual(consumer.in_flight, 0)
        producer.send(b"second")
        while not got:
            time.sleep(0.001)
        consumer.stop_waiting()
        waiting.join()
        self.assertEqual(got.pop().text, "second")

    def test_closing_ends_who_waits(self) -> None:
        _, consumer = self.open()
        ended = []

        def wait() -> None:
            try:
                consumer.receive()
            except shmq.Closed as error:
                ended.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
        consumer.close()
        waiting.join()
        self.assertEqual(len(ended), 1)
        with self.assertRaises(shmq.Closed):
            consumer.try_receive()

    # ---- Queues ----

    def test_queues(self) -> None:
        self.session.declare(self.queue, lease=2.5, max_deliveries=0, dead_letter="",
                             retry_delay=datetime.timedelta(seconds=1))
        info = self.session.info(self.queue)
        self.assertEqual((info.options.lease, info.options.max_deliveries), (2.5, 0))
        self.assertEqual((info.options.retry_delay, info.options.dead_letter), (1.0, ""))
        self.assertIn(self.queue, [info.name for info in self.session.queues()])
        with self.assertRaises(shmq.QueueExists):
            self.session.declare(self.queue, lease=3)
        with self.assertRaises(TypeError):
            self.session.declare(self.queue, leese=3)
        with self.assertRaises(shmq.InvalidArgument):
            self.session.declare(self.queue, overflow="explode")
        with self.session.producer(self.queue) as producer:
            producer.send(b"x")
            with self.assertRaises(shmq.QueueInUse):
                self.session.remove(self.queue)
        self.assertEqual(self.session.purge(self.queue), 1)
        self.session.remove(self.queue)
        with self.assertRaises(LookupError):
            self.session.consumer(self.queue)
        self.assertEqual(self.session.status().version, shmq.__version__)

    def test_edit(self) -> None:
        self.session.declare(self.queue, lease=2.5, in_flight=9)
        self.session.edit(self.queue, lease=datetime.timedelta(seconds=4), max_deliveries=0,
                          dead_letter="graves", retry_delay=0.5, retry_delay_max=2,
                          pause_stopped=True, mode=0o750, group=os.getgid(), overflow="reject")
        with self.assertRaises(shmq.InvalidArgument):
            self.session.edit(self.queue, in_flight=5, lease=1e-9)
        options = self.session.info(self.queue).options
        self.assertEqual((options.lease, options.max_deliveries, options.dead_letter),
                         (4.0, 0, "graves"))
        self.assertEqual((options.retry_delay, options.retry_delay_max), (0.5, 2.0))
        self.assertEqual((options.pause_stopped, options.mode, options.overflow, options.in_flight),
                         (True, 0o750, "reject", 9))
        with self.assertRaises(TypeError):
            self.session.edit(self.queue, capacity=128)
        with self.assertRaises(shmq.InvalidArgument):
            self.session.edit(self.queue, overflow="explode")
        with self.assertRaises(shmq.InvalidArgument):
            self.session.edit(self.queue, spill_limit=1 << 20)  # without a journal
        with self.assertRaises(shmq.QueueNotFound):
            self.session.edit("nothing", lease=1)

    def test_pause(self) -> None:
        producer, consumer = self.open()
        producer.send(b"job")
        self.session.pause(self.queue, "producers")
        info = self.session.info(self.queue)
        self.assertEqual((info.producers_paused, info.consumers_paused), (True, False))
        with self.assertRaises(shmq.Paused):
            producer.send(b"x", timeout=0)
        consumer.receive(timeout=30).nack()
        self.session.pause(self.queue)
        with self.assertRaises(shmq.Paused):
            consumer.try_receive()
        self.session.resume(self.queue)
        self.assertEqual(consumer.receive(timeout=30).text, "job")
        producer.send(b"x", timeout=0)
        with self.assertRaises(shmq.InvalidArgument):
            self.session.pause(self.queue, "neither")

    def test_no_daemon(self) -> None:
        with self.assertRaises(ConnectionError) as raised:
            shmq.connect("/nonexistent/socket", timeout=0.1)
        self.assertIn("/nonexistent/socket", str(raised.exception))

    # ---- asyncio ----

    def test_asyncio(self) -> None:
        producer, consumer = self.open(capacity=64)

        async def work() -> list[str]:
            waiting = asyncio.create_task(consumer.receive_async())
            await asyncio.sleep(0.02)
            waiting.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waiting
            sending = asyncio.create_task(send())
            texts = []
            async for message in consumer:
                with message:
                    texts.append(message.text)
                if len(texts) == 1000:
                    break
            await sending
            return texts

        async def send() -> None:
            for number in range(1000):  # waits for room again and again
                await producer.send_async(str(number))

        self.assertEqual(asyncio.run(work()), [str(number) for number in range(1000)])

    def test_confirms(self) -> None:
        producer, _ = self.open(durability="durable")
        producer.send(b"kept")
        receipt = producer.last_receipt
        producer.await_confirm("logged", timeout=60)
        asyncio.run(producer.confirm_async())
        self.assertTrue(producer.is_confirmed(receipt, "durable"))

        async def more() -> None:
            for _ in range(3):
                await producer.send_async(b"more")
                await producer.confirm_async("durable")

        asyncio.run(more())


if __name__ == "__main__":
    unittest.main()
