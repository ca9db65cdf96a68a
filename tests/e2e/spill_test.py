"""Queues that overflow to disk, and durable ones, through the CLI: what went in comes out, in order,
whoever is killed on the way, and the disk is free again afterwards."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))

from cli_support import ALL, BIN_DIR, FAILED, CliTest, main, wait_until  # noqa: E402

LINES = 1_000_000 if ALL else 200_000
KILLS = 10 if ALL else 4
SEED = int(os.environ.get("SHMQ_TEST_SEED") or random.randrange(1 << 32))


def lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


class SpillTest(CliTest):
    def journal_files(self) -> list[Path]:
        return list(Path(f"{self.socket}.state").glob("queues/*/*.journal"))

    def wait_for_quiet(self) -> None:
        """All consumed: the gate stands on direct, and the disk holds nothing."""
        wait_until(lambda: self.info()["gate"] == "direct", "gate direct")
        wait_until(lambda: not self.journal_files(), "no file left")
        self.assertEqual(self.info()["journal_bytes"], 0)

    def kill_daemon(self) -> None:
        os.kill(self.daemon_pid(), signal.SIGKILL)

    def kill_at_random(self, seed: int, process: subprocess.Popen) -> int:
        """Until the process ends, at most so often; gives the daemon time to be of use."""
        chance = random.Random(seed)
        killed = 0
        while process.poll() is None and killed < KILLS:
            time.sleep(chance.uniform(0.02, 0.3))
            try:
                self.kill_daemon()
            except (ValueError, ProcessLookupError):
                continue  # it is being started
            killed += 1
        return killed

    def test_lines_without_a_consumer_come_back_byte_for_byte(self) -> None:
        self.create("--capacity", 1024, "--overflow", "spill")
        sent = lines(LINES)
        self.shmq("send", self.queue, input=sent)
        info = self.info()
        self.assertEqual(info["ready"], LINES)
        self.assertEqual(info["gate"], "journal")
        self.assertGreater(info["spilled"], LINES - 2 * 1024 - 1)
        self.assertEqual(self.recv() == sent, True)
        self.wait_for_quiet()
        self.assert_counts(ready=0, sent=LINES, delivered=LINES, acked=LINES, redelivered=0)

    def test_the_daemon_killed_on_the_way(self) -> None:
        print(f"SHMQ_TEST_SEED={SEED}")
        self.create("--capacity", 1024, "--overflow", "spill")
        sent = lines(3 * LINES)
        sender = self.start("send", self.queue, stdin=subprocess.PIPE)
        feeder = threading.Thread(target=lambda: (sender.stdin.write(sent), sender.stdin.close()))
        feeder.start()
        killed = self.kill_at_random(SEED, sender)
        self.assertEqual(sender.wait(100), 0, sender.stderr.read())
        feeder.join()
        with open(f"{self.directory.name}/out", "w+b") as out:
            receiver = self.start("recv", self.queue, stdout=out)
            killed += self.kill_at_random(SEED + 1, receiver)
            self.assertEqual(receiver.wait(100), 0)
            out.seek(0)
            self.assertEqual(out.read() == sent, True)
        self.assertGreater(killed, 0)
        self.wait_for_quiet()
        self.assert_counts(ready=0, redelivered=0)

    def test_large_messages_wait_on_disk_too(self) -> None:
        self.create("--capacity", 1024, "--overflow", "spill", "--pool", "8MiB")
        directory = Path(self.directory.name)
        sizes = [1 << 20, 40, 70_000, 1 << 20, 300_000] * 20
        for number, size in enumerate(sizes[:5]):
            (directory / f"m{number}").write_bytes(random.Random(number).randbytes(size))
        for number, _ in enumerate(sizes):
            self.shmq("send", self.queue, "--file", directory / f"m{number % 5}")
        self.assertGreater(self.info()["spilled"], 50)
        received = self.recv("--raw")
        expected = b"".join((directory / f"m{n % 5}").read_bytes() for n in range(len(sizes)))
        self.assertEqual(received == expected, True)
        self.wait_for_quiet()

    def test_consumers_keep_up_and_fall_behind(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill")
        sent = lines(LINES)
        sender = self.start("send", self.queue, stdin=subprocess.PIPE)
        feeder = threading.Thread(target=lambda: (sender.stdin.write(sent), sender.stdin.close()))
        feeder.start()
        with open(f"{self.directory.name}/out", "w+b") as out:
            receiver = self.start("recv", self.queue, "-n", LINES, stdout=out)
            chance = random.Random(SEED)
            while receiver.poll() is None:
                receiver.send_signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0, 0.05))
                receiver.send_signal(signal.SIGCONT)
                time.sleep(chance.uniform(0, 0.05))
            self.assertEqual(receiver.returncode, 0)
            self.assertEqual(sender.wait(100), 0)
            feeder.join()
            out.seek(0)
            self.assertEqual(out.read() == sent, True, f"SHMQ_TEST_SEED={SEED}")
        self.wait_for_quiet()

    def test_purge_and_removal_reach_the_disk(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill")
        self.shmq("send", self.queue, input=lines(10_000))
        self.assertIn(b"10,000", self.shmq("purge", self.queue).stdout)
        self.assert_counts(ready=0, spilled=0, purged=10_000)
        self.wait_for_quiet()
        self.shmq("send", self.queue, input=lines(10_000))
        self.assertEqual(self.recv() == lines(10_000), True)
        self.shmq("send", self.queue, input=lines(10_000))
        self.recv("-n", 64)
        self.shmq("rm", self.queue, status=FAILED)
        self.shmq("rm", self.queue, "--force")
        self.assertEqual(self.journal_files(), [])

    def test_a_limit_refuses_or_blocks_and_goes_on_by_itself(self) -> None:
        limit = ["--max-message", "64KiB", "--spill-limit", "64MiB"]
        self.create("--capacity", 64, "--overflow", "spill", "--when-full", "reject", *limit)
        message = Path(self.directory.name) / "message"
        message.write_bytes(b"x" * 60_000)
        line = b"x" * 60_000 + b"\n"
        refused = self.shmq("send", self.queue, input=line * 3000, status=FAILED)
        self.assertIn(b"finds no room", refused.stderr)
        info = self.info()
        self.assertEqual(info["journal"], "no room")
        self.assertIn("limit", info["alarm"])
        self.assertLessEqual(info["journal_bytes"], 64 << 20)
        kept = info["ready"]
        self.assertGreater(kept, 500)
        self.assertEqual(self.recv() == line * kept, True)
        wait_until(lambda: self.info()["journal"] == "ok", "room again")
        self.send("more")
        self.assertEqual(self.recv(), b"more\n")


class DurableTest(CliTest):
    def kill_all_and_start_again(self) -> None:
        """Daemon and keeper at once, with nobody left who holds the memory."""
        self.end_everything()
        self.start_daemon()
        wait_until(lambda: self.shmq("info", self.queue, status=None).returncode == 0,
                   "the queue is back")

    def test_confirmed_messages_survive_every_process(self) -> None:
        count = 100_000 if ALL else 30_000
        sent = lines(count)
        self.create("--durability", "durable")
        self.shmq("send", self.queue, "--confirm", "durable", input=sent)
        info = self.info()
        self.assertEqual(info["durable"], count)
        self.assertLess(info["syncs"], count // 10)  # one sync for all who wait for it
        taken = self.recv("-n", 1000)
        self.kill_all_and_start_again()
        rest = self.recv()
        # Acks are logged, not synced: what was acked may come again, what was not must, in order.
        acked = set(taken.splitlines())
        self.assertEqual(len(acked), 1000)
        due = [line for line in rest.splitlines() if line not in acked]
        self.assertEqual(due == sent.splitlines()[1000:], True)
        self.assertEqual(len(set(rest.splitlines())), rest.count(b"\n"))
        self.assertGreater(self.info()["redelivered"], 0)
        self.kill_all_and_start_again()
        wait_until(lambda: self.info()["ready"] + self.info()["returned"] <= 1024, "acks are kept")

    def test_what_was_logged_survives_every_process_without_a_sync(self) -> None:
        self.create("--durability", "logged", "--capacity", 1024)
        self.shmq("send", self.queue, "--confirm", "logged", input=lines(30_000))
        for _ in range(2):
            info = self.info()
            self.assertEqual((info["durable"], info["syncs"]), (0, 0))
            self.kill_all_and_start_again()
        self.assertEqual(self.recv() == lines(30_000), True)

    def test_what_stood_in_the_ring_comes_marked_and_first(self) -> None:
        self.create("--durability", "durable", "--capacity", 64)
        self.shmq("send", self.queue, "--confirm", "logged", input=lines(1000))
        wait_until(lambda: self.info()["spilled"] == 1000 - 64, "the ring is full")
        self.kill_all_and_start_again()
        self.assertEqual(self.recv() == lines(1000), True)
        self.assert_counts(redelivered=64)

    def test_the_daemon_killed_on_the_way(self) -> None:
        print(f"SHMQ_TEST_SEED={SEED}")
        self.create("--durability", "durable")
        sent = lines(LINES // 2)
        chance = random.Random(SEED)
        sender = self.start("send", self.queue, "--confirm", "durable", stdin=subprocess.PIPE)
        feeder = threading.Thread(target=lambda: (sender.stdin.write(sent), sender.stdin.close()))
        feeder.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, 0.2))
            os.kill(self.daemon_pid(), signal.SIGKILL)
            wait_until(lambda: self.shmq("status", status=None).returncode == 0, "the daemon")
        self.assertEqual(sender.wait(100), 0, sender.stderr.read())
        feeder.join()
        self.assertEqual(self.recv() == sent, True)
        self.assert_counts(ready=0, redelivered=0)

    def test_large_messages_and_removal(self) -> None:
        self.create("--durability", "durable", "--pool", "8MiB")
        path = Path(self.directory.name) / "large"
        path.write_bytes(random.Random(1).randbytes(1 << 20))
        for _ in range(20):
            self.shmq("send", self.queue, "--confirm", "durable", "--file", path)
        self.kill_all_and_start_again()
        self.assertEqual(self.recv("--raw") == path.read_bytes() * 20, True)
        self.shmq("rm", self.queue)
        self.kill_daemon_only()
        self.assertEqual(self.shmq("info", self.queue, status=FAILED).stdout, b"")

    def test_a_full_log_is_emptied_by_its_consumers(self) -> None:
        self.create("--durability", "durable", "--max-message", "64KiB", "--spill-limit", "8MiB")
        line = b"x" * 20_000 + b"\n"
        sender = self.start("send", self.queue, "--confirm", "durable", stdin=subprocess.PIPE)
        feeder = threading.Thread(target=lambda: (sender.stdin.write(line * 2000),
                                                  sender.stdin.close()))
        feeder.start()
        wait_until(lambda: self.info()["journal"] == "no room", "the limit is reached")
        received = self.recv("-n", 2000)
        self.assertEqual(received == line * 2000, True)
        self.assertEqual(sender.wait(100), 0, sender.stderr.read())
        feeder.join()
        wait_until(lambda: self.info()["journal"] == "ok", "room again")
        self.assertEqual(self.info()["durable"], 2000)

    def kill_daemon_only(self) -> None:
        os.kill(self.daemon_pid(), signal.SIGKILL)
        wait_until(lambda: self.shmq("status", status=None).returncode == 0, "the daemon")


if __name__ == "__main__":
    assert BIN_DIR
    main()
