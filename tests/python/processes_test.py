#!/usr/bin/env python3
"""Python programs among others: what C++ sends, what a killed one held, signals, and fork."""

import signal
import time
import unittest

import shmq
from python_support import DaemonTest

TEN_LINES = """
import shmq, sys
with shmq.connect() as session:
    with session.consumer(sys.argv[1]) as consumer:
        for message in consumer:
            with message:
                print(message.text, flush=True)
                if message.text == "last":
                    consumer.stop_waiting()
"""

HOLDER = """
import shmq, sys
consumer = shmq.connect().consumer(sys.argv[1])
message = consumer.receive()
print("holding", message.text, flush=True)
consumer.receive()
"""

WAITER = """
import shmq, sys
consumer = shmq.connect().consumer(sys.argv[1])
print("waiting", flush=True)
try:
    consumer.receive()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(consumer.in_flight, flush=True)
"""

FORKED = """
import os, shmq, sys
session = shmq.connect()
producer, consumer = session.producer(sys.argv[1]), session.consumer(sys.argv[1])
message = consumer.receive()
child = os.fork()
if child == 0:
    for call in (lambda: producer.send(b"x"), consumer.try_receive, session.status):
        try:
            call()
        except shmq.Forked:
            print("forked", flush=True)
    try:
        message.data
    except BufferError:
        print("no memory", flush=True)
    with shmq.connect() as anew:
        with anew.producer(sys.argv[1]) as mine:
            mine.send("from the child")
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
message.ack()
print(consumer.receive().text, flush=True)
"""


class PythonProcessesTest(DaemonTest):
    def setUp(self) -> None:
        self.session = shmq.connect()
        self.addCleanup(self.session.close)
        self.session.declare(self.queue, must_be_new=True)

    def test_ten_lines_consume_what_cpp_produces(self) -> None:
        self.assertLessEqual(len(TEN_LINES.strip().splitlines()), 10)
        consumer = self.start(TEN_LINES, self.queue)
        self.shmq("send", self.queue, input="".join(f"{number}\n" for number in range(1000)))
        self.shmq("send", self.queue, "last")
        output, errors = consumer.communicate(timeout=60)
        self.assertEqual(output.split(), [*(str(number) for number in range(1000)), "last"], errors)
        self.assertEqual(self.session.info(self.queue).acked, 1001)

    def test_what_a_killed_one_held_comes_again(self) -> None:
        self.shmq("send", self.queue, "job")
        holder = self.start(HOLDER, self.queue)
        self.assertEqual(holder.stdout.readline(), "holding job\n")
        holder.kill()
        with self.session.consumer(self.queue) as consumer, consumer.receive(60) as message:
            self.assertEqual((message.text, message.redelivered, message.failures),
                             ("job", True, 1))

    def test_control_c_ends_a_receive(self) -> None:
        waiter = self.start(WAITER, self.queue)
        self.assertEqual(waiter.stdout.readline(), "waiting\n")
        time.sleep(0.1)
        waiter.send_signal(signal.SIGINT)
        output, errors = waiter.communicate(timeout=60)
        self.assertEqual(output, "interrupted\n0\n", errors)

    def test_fork(self) -> None:
        self.shmq("send", self.queue, "of the parent")
        forked = self.start(FORKED, self.queue)
        output, errors = forked.communicate(timeout=60)
        self.assertEqual(output.splitlines(),
                         ["forked"] * 3 + ["no memory", "from the child"], errors)
        self.assertEqual(forked.returncode, 0, errors)


if __name__ == "__main__":
    unittest.main()
