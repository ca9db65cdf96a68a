#!/usr/bin/env python3
"""Streams through `shmq send` and `shmq recv`: byte for byte, whoever ends in the middle."""

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from cli_support import (ALL, DONE, FAILED, NOTHING, USAGE, CliTest, main, wait_until)

SEED = int(os.environ.get("SHMQ_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
print(f"seed {SEED}; repeat with SHMQ_TEST_SEED={SEED}", flush=True)


def many_lines(count: int, random_source: random.Random) -> bytes:
    """Lines of many lengths: empty, of a slot's size and around it, some large, none decodable."""
    alphabet = bytes(byte for byte in range(256) if byte != ord("\n"))
    noise = bytes(random_source.choices(alphabet, k=70_000))
    lengths = random_source.choices([0, 1, 20, 31, 32, 33, 63, 64, 65, 200, 1024, 5000],
                                    weights=[5, 9, 30, 9, 9, 9, 5, 5, 5, 9, 4, 1], k=count)
    lengths[count // 2] = 69_000
    starts = random_source.choices(range(1000), k=count)
    return b"".join(b"%d %b\n" % (number, noise[start:start + length])
                    for number, (start, length) in enumerate(zip(starts, lengths)))


class StreamTest(CliTest):
    def test_many_lines_byte_for_byte(self) -> None:
        count = 1_000_000 if ALL else 200_000
        data = many_lines(count, random.Random(SEED))
        path = Path(self.directory.name) / "lines"
        path.write_bytes(data)
        self.create()
        with open(path, "rb") as lines:
            sender = self.start("send", self.queue, stdin=lines)
            receiver = self.start("recv", self.queue, "-n", count)
            digest = hashlib.sha256()
            while piece := receiver.stdout.read(1 << 20):
                digest.update(piece)
            sender.wait(60)
            receiver.wait(60)
        self.assertEqual((sender.returncode, receiver.returncode), (DONE, DONE))
        self.assertEqual((sender.stderr.read(), receiver.stderr.read()), (b"", b""))
        self.assertEqual(digest.hexdigest(), hashlib.sha256(data).hexdigest())
        self.assert_counts(sent=count, acked=count, delivered=count, ready=0, leased=0, returned=0,
                           redelivered=0, dropped=0)

    def test_lines(self) -> None:
        self.create()
        self.shmq("send", self.queue, input=b"a\n\nb c\r\nlast without newline")
        self.assert_counts(ready=4)
        self.assertEqual(self.recv(), b"a\n\nb c\r\nlast without newline\n")
        self.shmq("send", self.queue, input=b"")
        self.recv(status=NOTHING)
        self.shmq("send", self.queue, input=b"\n")
        self.assertEqual(self.recv(), b"\n")

    def test_null_keeps_newlines(self) -> None:
        self.create()
        self.shmq("send", self.queue, "--null", input=b"a\nb\0\0c\0rest")
        self.assert_counts(ready=4)
        self.assertEqual(self.recv("--null"), b"a\nb\0\0c\0rest\0")

    def test_raw_adds_nothing(self) -> None:
        self.create()
        self.send("a", "", "b\n", "c")
        self.assertEqual(self.recv("--raw"), b"ab\nc")

    def test_arguments_arrive_as_they_are(self) -> None:
        self.create()
        odd = ["", "{}", "[1,2]", "[]", "a b", "%%", "++", "a=b", "'x'", '"y"', "grün", "-1",
               '{"a": [1, 2]}', "\x01"]
        self.send(*odd)
        self.assertEqual(self.recv("--null").split(b"\0")[:-1], [m.encode() for m in odd])
        self.send("first", "--", "--null", "-x", "--", "[a]", "")
        self.assertEqual(self.recv("--null"), b"first\0--null\0-x\0--\0[a]\0\0")
        self.shmq("send", self.queue, b"\xff\xfe")
        self.assertEqual(self.recv(), b"\xff\xfe\n")

    def test_a_whole_file(self) -> None:
        self.create("--max-message", "8MiB")
        content = random.Random(SEED).randbytes(5_000_000)
        path = Path(self.directory.name) / "[file]"
        path.write_bytes(content)
        for file, options in ((path, {}), (path.name, {"cwd": path.parent}),
                              ("-", {"input": content})):
            self.shmq("send", self.queue, "--file", file, **options)
            self.assert_counts(ready=1)
            self.assertTrue(self.recv("--raw") == content)
        self.shmq("send", self.queue, "--file", "/dev/null")
        self.assertEqual(self.recv(), b"\n")

    def test_a_trickle_is_not_kept_waiting(self) -> None:
        self.create()
        sender = self.start("send", self.queue, stdin=subprocess.PIPE)
        receiver = self.start("recv", self.queue, "--follow")
        for line in (b"one\n", b"two\n"):
            sender.stdin.write(line)
            sender.stdin.flush()
            self.assertEqual(receiver.stdout.readline(), line)
        sender.stdin.close()
        self.assertEqual(sender.wait(60), DONE)
        receiver.send_signal(signal.SIGINT)
        self.assertEqual(receiver.wait(60), DONE)


class ProgressTest(CliTest):
    def on_terminal(self, *words: object, **options: object) -> bytes:
        """What the CLI writes to a terminal as its standard error."""
        master, slave = os.openpty()
        with os.fdopen(slave, "wb") as terminal:
            process = self.start(*words, stderr=terminal, **options)
        self.addCleanup(os.close, master)
        process.wait(60)
        self.assertEqual(process.returncode, DONE)
        os.set_blocking(master, False)
        try:
            return os.read(master, 1 << 16)
        except OSError:  # nothing there: EAGAIN, or EIO since the other end is closed
            return b""

    def test_a_long_stream_shows_its_progress_on_a_terminal(self) -> None:
        self.create()
        path = Path(self.directory.name) / "slow"
        slow = "for i in 1 2 3; do echo line; sleep 0.25; done"
        feeder = subprocess.Popen(["sh", "-c", slow], stdout=subprocess.PIPE)
        self.addCleanup(self.end, feeder)
        shown = self.on_terminal("send", self.queue, stdin=feeder.stdout)
        self.assertRegex(shown, rb"\r\d messages  \d+/s  \d+ B")
        self.assertTrue(shown.endswith(b"\n"))
        self.assertLessEqual(shown.count(b"\r"), 8)
        with open(path, "wb") as file:
            self.assertEqual(self.on_terminal("recv", self.queue, stdout=file), b"")  # too short
        self.assertEqual(path.read_bytes(), b"line\n" * 3)


class WaitTest(CliTest):
    def test_without_a_wish_to_wait_takes_what_is_there(self) -> None:
        self.create()
        self.assertEqual(self.recv(status=NOTHING), b"")
        self.send(*map(str, range(500)))
        self.assertEqual(self.recv().split(), [b"%d" % i for i in range(500)])
        self.recv(status=NOTHING)

    def test_a_count_waits_for_it(self) -> None:
        self.create()
        receiver = self.start("recv", self.queue, "-n", 3)
        self.send("1")
        self.assertEqual(receiver.stdout.readline(), b"1\n")
        self.send("2", "3", "4")
        out, _ = receiver.communicate(timeout=60)
        self.assertEqual((receiver.returncode, out), (DONE, b"2\n3\n"))
        self.assertEqual(self.recv(), b"4\n")

    def test_timeouts(self) -> None:
        self.create()
        started = time.monotonic()
        self.recv("--timeout", "200ms", status=NOTHING)
        self.recv("-n", "1", "--timeout", "200ms", status=NOTHING)
        self.assertGreaterEqual(time.monotonic() - started, 0.4)
        self.send("a", "b")
        self.assertEqual(self.recv("-n", "3", "--timeout", "10ms", status=NOTHING), b"a\nb\n")
        self.send("a")
        self.assertEqual(self.recv("--timeout", "0"), b"a\n")

    def test_the_timeout_counts_for_each_message_anew(self) -> None:
        self.create()
        receiver = self.start("recv", self.queue, "-n", 3, "--timeout", "5s")
        for i in range(3):
            time.sleep(0.3)
            self.send(str(i))
        out, _ = receiver.communicate(timeout=60)
        self.assertEqual((receiver.returncode, out), (DONE, b"0\n1\n2\n"))

    def test_send_waits_for_room_no_longer_than_told(self) -> None:
        self.create("--capacity", "64")
        done = self.shmq("send", self.queue, "--timeout", "200ms", input=b"x\n" * 100,
                         status=NOTHING)
        sent = self.info()["sent"]
        self.assertIn(f"{sent} sent before", done.stderr.decode())
        sender = self.start("send", self.queue, "--timeout", "60s", "more")
        time.sleep(0.1)
        self.assertEqual(len(self.recv("-n", sent).split()), sent)
        self.assertEqual(sender.wait(60), DONE)

    def test_signals_end_a_wait(self) -> None:
        self.create("--capacity", "64")
        for number in (signal.SIGINT, signal.SIGTERM):
            receiver = self.start("recv", self.queue, "--follow")
            self.wait_for("consumers", 1)
            receiver.send_signal(number)
            self.assertEqual(receiver.wait(60), DONE)
            counting = self.start("recv", self.queue, "-n", 1)
            self.wait_for("consumers", 1)
            counting.send_signal(number)
            self.assertEqual(counting.wait(60), FAILED)
            self.assertIn(b"interrupted", counting.stderr.read())
            self.wait_for("consumers", 0)

    def test_signals_end_a_send(self) -> None:
        self.create("--capacity", "64")
        reading = self.start("send", self.queue, stdin=subprocess.PIPE)
        reading.stdin.write(b"a\n")
        reading.stdin.flush()
        self.wait_for("ready", 1)
        reading.terminate()
        self.assertEqual(reading.wait(60), FAILED)
        self.assertIn(b"interrupted; 1 sent before", reading.stderr.read())
        waiting = self.start("send", self.queue, stdin=subprocess.PIPE)
        waiting.stdin.write(b"x\n" * 1000)
        waiting.stdin.flush()
        wait_until(lambda: self.info()["ready"] >= 60, "a full queue")
        waiting.terminate()
        self.assertEqual(waiting.wait(60), FAILED)


class FailureTest(CliTest):
    def test_a_failed_write_gives_the_messages_back(self) -> None:
        self.create()
        self.send("a", "b")
        with open("/dev/full", "wb") as full:
            done = self.shmq("recv", self.queue, stdout=full, status=FAILED)
        self.assertIn("No space left", done.stderr.decode())
        self.assertIn("2 messages went back", done.stderr.decode())
        self.wait_for("returned", 2)
        self.assert_counts(ready=0, leased=0, acked=0)
        self.assertEqual(self.recv(), b"a\nb\n")
        self.assert_counts(redelivered=2)

    def test_a_reader_that_went_away(self) -> None:
        self.create()
        self.send("a")
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            done = self.shmq("recv", self.queue, stdout=pipe, status=FAILED)
        self.assertIn("Broken pipe", done.stderr.decode())
        self.assertEqual(self.recv(), b"a\n")

    def test_a_killed_receiver_loses_nothing(self) -> None:
        self.create()
        count = 20_000
        lines = [b"%d" % i for i in range(count)]
        sender = self.start("send", self.queue, stdin=subprocess.PIPE)
        victim = self.start("recv", self.queue, "--follow")
        # The victim blocks with messages in hand, because nobody reads what it prints.
        feeder = self.start_writing(sender, b"\n".join(lines) + b"\n")
        wait_until(lambda: self.info()["leased"] > 0 and self.info()["acked"] > 100,
                   "a victim in the middle")
        victim.kill()
        seen = victim.stdout.read().split(b"\n")[:-1]
        out = self.recv("--timeout", "2s")
        feeder.communicate(timeout=60)
        self.assertEqual(sender.wait(60), DONE)
        got = seen + out.split(b"\n")[:-1]
        self.assertEqual(set(got), set(lines))
        info = self.info()
        # What came twice is what was taken twice.
        self.assertLessEqual(len(got) - count, info["redelivered"])
        self.assert_counts(ready=0, leased=0, returned=0, dropped=0)

    def start_writing(self, sender: subprocess.Popen, data: bytes) -> subprocess.Popen:
        """A process that writes `data` to the sender, which may block for long."""
        path = Path(self.directory.name) / self.queue
        path.write_bytes(data)
        feeder = subprocess.Popen(["cat", path], stdout=sender.stdin)
        sender.stdin.close()
        self.addCleanup(self.end, feeder)
        return feeder

    def test_a_blocked_output_keeps_its_leases(self) -> None:
        self.create("--lease", "200ms")
        receiver = self.start("recv", self.queue, "-n", 3)
        big = "x" * 300_000  # more than a pipe holds
        self.shmq("send", self.queue, "--file", "-", input=big.encode())
        self.send("b", "c")
        self.wait_for("leased", 1)
        time.sleep(1)
        out, errors = receiver.communicate(timeout=60)
        self.assertEqual((receiver.returncode, errors), (DONE, b""))
        self.assertTrue(out == big.encode() + b"\nb\nc\n")
        self.assert_counts(acked=3, redelivered=0, expired=0)

    def test_a_line_too_long_ends_the_stream_there(self) -> None:
        self.create("--max-message", "1K")
        lines = b"ok 1\nok 2\n" + b"x" * 1025 + b"\nnever\n"
        done = self.shmq("send", self.queue, input=lines, status=FAILED)
        self.assertRegex(done.stderr.decode(),
                         r"line 3 has 1,025 bytes.*at most 1,024; .*--max-message.*2 sent before")
        self.assertEqual(self.recv(), b"ok 1\nok 2\n")
        done = self.shmq("send", self.queue, input=b"ok\n" + b"x" * 3_000_000, status=FAILED)
        self.assertIn("line 2 has 3,000,000 bytes", done.stderr.decode())
        self.assertEqual(self.recv(), b"ok\n")
        self.shmq("send", self.queue, input=b"x" * 1024)
        self.assertEqual(len(self.recv()), 1025)

    def test_an_endless_line_is_refused_and_not_read_for_ever(self) -> None:
        self.create()
        with open("/dev/zero", "rb") as zeroes:
            done = self.shmq("send", self.queue, stdin=zeroes, status=FAILED)
        self.assertIn("line 1 has more than", done.stderr.decode())

    def test_other_things_too_big(self) -> None:
        self.create("--max-message", "1K")
        done = self.shmq("send", self.queue, "ok", "x" * 2000, status=FAILED)
        self.assertIn("argument 2 has 2,000 bytes", done.stderr.decode())
        self.assertEqual(self.recv(), b"ok\n")
        path = Path(self.directory.name) / "big"
        path.write_bytes(b"x" * 5000)
        done = self.shmq("send", self.queue, "--file", path, status=FAILED)
        self.assertIn("big has 5,000 bytes", done.stderr.decode())
        self.shmq("send", self.queue, "--file", "-", input=b"x" * 5000, status=FAILED)
        self.shmq("send", self.queue, "--null", input=b"x" * 2000 + b"\0", status=FAILED)
        self.recv(status=NOTHING)

    def test_input_that_cannot_be_read(self) -> None:
        self.create()
        self.shmq("send", self.queue, "--file", "/nowhere/at/all", status=FAILED)
        self.shmq("send", self.queue, "--file", "/", status=FAILED)
        with open("/proc/self/mem", "rb") as unreadable:
            done = self.shmq("send", self.queue, stdin=unreadable, status=FAILED)
        self.assertIn("standard input: Input/output error", done.stderr.decode())


if __name__ == "__main__":
    main()
