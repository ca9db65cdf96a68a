"""Dead letters of durable queues: they outlive every process and go back and forth, once each."""

import os
import random
import re
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))

from cli_support import ALL, HOLE_BYTES, NOTHING, CliTest, main, state_of, wait_until  # noqa: E402

COUNT = 300
REJECT = ("--exec", "exit 65", "--reject-on", "65")


def lines(count: int = COUNT) -> bytes:
    return b"".join(b"letter %d\n" % number for number in range(count))


class DeadLettersTest(CliTest):
    def setUp(self) -> None:
        super().setUp()
        self.dead = f"{self.queue}.dlq"

    def tearDown(self) -> None:
        for queue in (self.queue, self.dead):
            self.shmq("rm", queue, "--force", status=None)

    def end_and_begin(self) -> None:
        self.end_everything()
        self.begin_anew()

    def counts(self, queue: str) -> tuple[int, int]:
        """Messages there, and messages that came from elsewhere."""
        done = self.shmq("info", queue, "--json", status=None)
        if done.returncode != 0:
            return (0, 0)
        info = self.json("info", queue)
        return (sum(info[key] for key in ("ready", "leased", "returned", "held", "delayed")),
                info["moved_in"])

    def in_ring(self, queue: str) -> int:
        return self.counts(queue)[0] - self.json("info", queue)["spilled"]

    def noted(self, failures: int) -> bool:
        """Whether the journal says that its only message has failed so often."""
        files = Path(f"{self.socket}.state/queues").glob("*/*.journal")
        text = b"".join(self.shmq("journal", "dump", file, status=None).stdout for file in files)
        return re.search(rb"attempts .* %d failures" % failures, text) is not None

    def make(self, count: int = COUNT, *options: str) -> None:
        self.create("--durability", "durable", "--capacity", 64, *options)
        self.shmq("send", self.queue, "--confirm", "durable", input=lines(count))

    def reject(self, count: int = COUNT) -> None:
        self.shmq("recv", self.queue, "-n", count, *REJECT, status=None)

    def reject_all(self, count: int = COUNT) -> None:
        self.reject(count)
        wait_until(lambda: self.counts(self.dead)[0] == count, "all among the dead letters")

    def drain(self, queue: str) -> list[bytes]:
        got: list[bytes] = []
        while self.counts(queue)[0] != 0:
            done = self.shmq("recv", queue, "--timeout", "200ms", status=None)
            self.assertIn(done.returncode, (0, NOTHING))
            got += done.stdout.splitlines()
        return got

    def test_the_dead_letter_queue_is_as_safe_as_its_source(self) -> None:
        for durability in ("durable", "logged"):
            self.create("--durability", durability, "--capacity", 64)
            self.send("poison")
            self.reject(1)
            wait_until(lambda: self.counts(self.dead) == (1, 1), "a dead letter")
            info = self.json("info", self.dead)
            self.assertEqual(info["durability"], durability)
            self.assertGreater(info["journal_bytes"], 0)
            self.tearDown()

    def test_dead_letters_survive_everything_with_their_histories(self) -> None:
        self.make()
        self.reject_all()
        self.assertEqual(self.counts(self.queue)[0], 0)
        wait_until(lambda: self.in_ring(self.dead) == 64, "a ring full of them")
        before = self.json("dlq", "ls", self.queue)
        self.end_and_begin()
        wait_until(lambda: self.counts(self.dead)[0] == COUNT, "all of them again")
        self.assertEqual(self.counts(self.queue)[0], 0)
        wait_until(lambda: self.in_ring(self.dead) == 64, "a ring full of them")
        after = self.json("dlq", "ls", self.queue)
        self.assertEqual(len(before), len(after))
        for was, now in zip(before, after):
            for key in ("reason", "source", "failures"):
                self.assertEqual(was[key], now[key])
        self.assertEqual(sorted(self.drain(self.dead)), sorted(lines().splitlines()))
        self.end_and_begin()
        wait_until(lambda: self.info()["journal"] == "ok", "recovered")
        self.assertEqual((self.counts(self.queue)[0], self.counts(self.dead)[0]), (0, 0))

    def test_redriven_from_log_to_log(self) -> None:
        self.make()
        self.reject_all()
        self.end_and_begin()
        wait_until(lambda: self.counts(self.dead)[0] == COUNT, "all of them again")
        done = 0
        while done < COUNT:  # as many as stand in the ring at a time
            got = self.shmq("dlq", "redrive", self.queue, status=None)
            if got.returncode == 0:
                done += int(got.stdout.split()[1])
        wait_until(lambda: self.counts(self.queue)[0] == COUNT, "all of them back")
        self.assertEqual(self.counts(self.dead)[0], 0)
        self.end_and_begin()
        wait_until(lambda: self.counts(self.queue)[0] == COUNT, "all of them still")
        self.assertEqual(self.counts(self.dead)[0], 0)
        self.assertEqual(sorted(self.drain(self.queue)), sorted(lines().splitlines()))

    def test_the_daemon_killed_again_and_again_in_between(self) -> None:
        self.kill_in_between(everything=False)

    def test_everything_killed_again_and_again_in_between(self) -> None:
        self.kill_in_between(everything=True)

    def kill_in_between(self, everything: bool) -> None:
        seed = int(os.environ.get("SHMQ_TEST_SEED", random.randrange(1 << 31)))
        print(f"SHMQ_TEST_SEED={seed}", flush=True)
        pauses = random.Random(seed)
        self.make()
        for _ in range(20 if ALL else 4):
            worker = self.start("recv", self.queue, *REJECT, "-n", 2 * COUNT)
            time.sleep(pauses.uniform(0.0, 0.3))
            if everything:
                self.end(worker)  # else it brings the memory along
                self.end_and_begin()
            else:
                os.kill(self.daemon_pid(), signal.SIGKILL)
                self.end(worker)
                wait_until(lambda: self.shmq("status", status=None).returncode == 0, "an answer")
        wait_until(lambda: self.info()["journal"] == "ok", "recovered")
        worker = self.start("recv", self.queue, *REJECT, "--follow")
        wait_until(lambda: self.counts(self.queue)[0] == 0 and self.counts(self.dead)[0] >= COUNT,
                   "all among the dead letters")
        self.end(worker)
        self.assertEqual(sorted(self.drain(self.dead)), sorted(lines().splitlines()))

    def test_from_memory_into_a_log_and_back(self) -> None:
        self.create("--capacity", 512)
        self.shmq("create", self.dead, "--durability", "durable", "--capacity", 64)
        self.shmq("send", self.queue, input=lines())
        for _ in range(10 if ALL else 3):
            worker = self.start("recv", self.queue, *REJECT, "-n", COUNT)
            time.sleep(0.05)
            os.kill(self.daemon_pid(), signal.SIGKILL)
            self.end(worker)
            wait_until(lambda: self.shmq("status", status=None).returncode == 0, "an answer")
        worker = self.start("recv", self.queue, *REJECT, "--follow")
        wait_until(lambda: self.counts(self.queue)[0] == 0, "nothing left behind")
        self.end(worker)
        self.assertEqual(self.counts(self.dead)[0], COUNT)
        self.shmq("mv", self.dead, self.queue)
        self.assertEqual(self.counts(self.dead)[0], 0)
        self.assertEqual(sorted(self.drain(self.queue)), sorted(lines().splitlines()))
        # What went back into memory is its log's no more.
        self.end_and_begin()
        wait_until(lambda: self.json("info", self.dead)["journal"] == "ok", "recovered")
        self.assertEqual(self.counts(self.dead)[0], 0)

    def test_nobody_gets_what_a_dead_daemon_may_have_moved(self) -> None:
        self.create("--capacity", 4096)
        self.shmq("create", self.dead, "--durability", "durable", "--capacity", 64)
        self.shmq("send", self.queue, input=lines(4000))
        got: list[bytes] = []
        for round in range(1, 10 if ALL else 4):
            mover = self.start("mv", self.queue, self.dead)
            wait_until(lambda: self.counts(self.queue)[0] < 4000 - 200 * round, "some of them gone")
            self.kill_the_daemon_and_let_its_log_take_long()
            self.end(mover)
            self.assertEqual(self.json("status")["recovering"], 1, "too quick to show anything")
            while self.json("status")["recovering"] != 0:
                got += self.shmq("recv", self.queue, status=None).stdout.splitlines()
        got += self.drain(self.queue) + self.drain(self.dead)
        self.assertEqual(sorted(got), sorted(lines(4000).splitlines()))

    def kill_the_daemon_and_let_its_log_take_long(self) -> None:
        daemon = self.daemon_pid()
        os.kill(self.daemon.pid, signal.SIGSTOP)  # lest the next one begins at once
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: state_of(daemon) == "Z", "its end")
        for log in Path(f"{self.socket}.state").glob("queues/*/*.journal"):
            os.truncate(log, HOLE_BYTES)
        os.kill(self.daemon.pid, signal.SIGCONT)
        wait_until(lambda: self.shmq("status", status=None).returncode == 0, "an answer")

    def test_a_poison_message_gets_no_life_anew(self) -> None:
        self.create("--durability", "durable", "--capacity", 64, "--max-deliveries", "4")
        self.send("poison")
        for life in range(4):
            self.assertEqual(self.counts(self.dead)[0], 0)
            wait_until(lambda: self.in_ring(self.queue) == 1, "the message")
            (peeked,) = self.json("peek", self.queue)
            self.assertEqual(peeked["failures"], life)
            self.start("recv", self.queue, "-n", 1, "--exec", "kill -9 $PPID").wait()
            if life < 3:
                # Nobody waits for the log; it comes soon.
                wait_until(lambda: self.noted(life + 1), "a note of its failure")
                self.end_and_begin()
        wait_until(lambda: self.counts(self.dead) == (1, 1), "a dead letter")
        (letter,) = self.json("dlq", "ls", self.queue)
        self.assertEqual(letter["failures"], 4)

    def test_what_finds_no_room_stays_and_is_told(self) -> None:
        self.create("--durability", "durable", "--capacity", 64)
        self.send("poison")
        self.shmq("create", self.dead, "--capacity", 64, "--max-message", "16",
                  "--durability", "durable")
        self.shmq("send", self.queue, "much too long for the other queue, by far, by all means")
        self.reject(2)
        wait_until(lambda: "has no blocks that large" in self.info()["alarm"], "an alarm")
        wait_until(lambda: self.counts(self.dead)[0] == 1, "what fits")
        wait_until(lambda: self.info()["held"] == 1, "the source has let it go")


if __name__ == "__main__":
    main()
