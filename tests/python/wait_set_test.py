#!/usr/bin/env python3
"""shmq.WaitSet: many queues at once, in one call, in a loop of poll, and with asyncio."""

import asyncio
import os
import select
import threading
import unittest

import shmq
from python_support import DaemonTest

WATCHDOG = 20


class WaitSetTest(DaemonTest):
    def setUp(self) -> None:
        self.session = shmq.connect()
        self.addCleanup(self.session.close)

    def open(self, name: str, **options: object) -> tuple[shmq.Producer, shmq.Consumer]:
        queue = f"{self.queue}-{name}"
        self.session.declare(queue)
        producer = self.session.producer(queue)
        consumer = self.session.consumer(queue, **options)
        self.addCleanup(producer.close)
        self.addCleanup(consumer.close)
        return producer, consumer

    def test_tells_who_is_ready(self) -> None:
        send_a, a = self.open("a")
        send_b, b = self.open("b")
        with shmq.WaitSet(a, b) as waits:
            self.assertEqual(len(waits), 2)
            self.assertEqual(waits.try_wait(), [])
            with self.assertRaises(shmq.TimedOut):
                waits.wait(timeout=0.01)
            with self.assertRaises(shmq.InvalidArgument):
                waits.add(b)
            later = threading.Timer(0.02, lambda: send_b.send(b"x"))
            later.start()
            self.assertEqual(waits.wait(timeout=WATCHDOG), [b])
            later.join()
            send_a.send(b"y")
            self.assertEqual(sorted(map(id, waits.wait(WATCHDOG))), sorted(map(id, [a, b])))
            b.try_receive().ack()
            self.assertEqual(waits.wait(), [a])
            waits.remove(a)
            self.assertEqual(waits.try_wait(), [])
            with self.assertRaises(shmq.InvalidArgument):
                waits.remove(a)
        again = shmq.WaitSet(a, b)  # the other was closed
        self.assertEqual(again.wait(), [a])
        a.close()
        self.assertEqual(len(again), 1)
        again.close()
        with self.assertRaises(shmq.Closed):
            again.try_wait()

    def test_says_what_it_cannot(self) -> None:
        producer, one = self.open("q", in_flight=1)
        with shmq.WaitSet() as waits:
            with self.assertRaises(shmq.InvalidArgument):
                waits.wait(timeout=WATCHDOG)
            waits.add(one)
            producer.send(b"a")
            producer.send(b"b")
            held = one.try_receive()
            with self.assertRaises(shmq.InFlightLimit):
                waits.wait(timeout=WATCHDOG)
            held.ack()
            self.assertEqual(waits.wait(timeout=WATCHDOG), [one])

    def test_stop_waiting_ends_a_wait_in_another_thread(self) -> None:
        _, consumer = self.open("q")
        waits = shmq.WaitSet(consumer)
        stopper = threading.Timer(0.02, waits.stop_waiting)
        stopper.start()
        with self.assertRaises(shmq.Interrupted):
            waits.wait()
        stopper.join()
        self.assertEqual(waits.try_wait(), [])

    def test_other_threads_use_its_consumers_meanwhile(self) -> None:
        producer, consumer = self.open("q")
        other_producer, other = self.open("r")
        waits = shmq.WaitSet(consumer, other)
        received = []

        def receive() -> None:
            for _ in range(200):
                with consumer.receive(timeout=WATCHDOG) as message:
                    received.append(message.text)

        def wait() -> None:
            while len(received) < 200 or waits.try_wait():
                for ready in waits.wait(timeout=WATCHDOG):
                    if ready is other:
                        with other.try_receive():
                            pass
                        return

        threads = [threading.Thread(target=receive), threading.Thread(target=wait)]
        for thread in threads:
            thread.start()
        for number in range(200):
            producer.send(str(number))
        threads[0].join()
        other_producer.send(b"end")
        threads[1].join()
        self.assertEqual(received, [str(number) for number in range(200)])

    def test_descriptor(self) -> None:
        producer, consumer = self.open("q")
        waits = shmq.WaitSet(consumer)
        poll = select.poll()
        poll.register(waits.descriptor(), select.POLLIN)
        self.assertTrue(poll.poll(WATCHDOG * 1000))
        self.assertEqual(waits.try_wait(), [])
        self.assertEqual(poll.poll(0), [])
        producer.send(b"x")
        self.assertTrue(poll.poll(WATCHDOG * 1000))
        self.assertEqual(waits.try_wait(), [consumer])
        consumer.try_receive().ack()
        self.assertEqual(waits.try_wait(), [])
        self.assertEqual(poll.poll(0), [])

    def test_asyncio(self) -> None:
        pairs = [self.open(name) for name in ("a", "b", "c")]
        waits = shmq.WaitSet(*(consumer for _, consumer in pairs))
        each = 200

        async def send(producer: shmq.Producer) -> None:
            for number in range(each):
                await producer.send_async(str(number))
                if number % 50 == 0:
                    await asyncio.sleep(0.005)

        async def receive() -> dict[int, list[int]]:
            texts: dict[int, list[int]] = {id(consumer): [] for _, consumer in pairs}
            async for consumer in waits:
                message = consumer.try_receive()
                if message is None:
                    continue
                with message:
                    texts[id(consumer)].append(int(message.text))
                if all(len(got) == each for got in texts.values()):
                    waits.stop_waiting()
            return texts

        async def both() -> dict[int, list[int]]:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(waits.ready_async(), 0.02)
            sending = [asyncio.create_task(send(producer)) for producer, _ in pairs]
            texts = await asyncio.wait_for(receive(), 3 * WATCHDOG)
            await asyncio.gather(*sending)
            return texts

        for got in asyncio.run(both()).values():
            self.assertEqual(got, list(range(each)))

    def test_a_child_of_fork_is_told(self) -> None:
        producer, consumer = self.open("q")
        waits = shmq.WaitSet(consumer)
        waits.descriptor()
        self.assertEqual(waits.try_wait(), [])
        child = os.fork()
        if child == 0:
            try:
                waits.try_wait()
            except shmq.Forked:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        producer.send(b"x")
        self.assertEqual(waits.wait(timeout=WATCHDOG), [consumer])


if __name__ == "__main__":
    unittest.main()
