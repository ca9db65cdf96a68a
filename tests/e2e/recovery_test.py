"""A daemon whose journals take long to read: it serves everybody else meanwhile, says what it does, and
who wants the queue waits for it."""

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))

from cli_support import FAILED, HOLE_BYTES, NOTHING, CliTest, main, wait_until  # noqa: E402


def lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


class RecoveryTest(CliTest):
    def journal_file(self) -> Path:
        """The newest, of the one queue that there is."""
        return max(Path(f"{self.socket}.state").glob("queues/*/*.journal"),
                   key=lambda path: path.stat().st_mtime_ns)

    def tearDown(self) -> None:
        self.shmq("rm", self.queue, "--force", status=None)

    def status(self) -> dict:
        return self.json("status")

    def test_others_are_served_while_a_long_log_is_read(self) -> None:
        self.create("--durability", "durable", "--capacity", 64)
        self.shmq("send", self.queue, "--confirm", "durable", input=lines(1000))
        path = self.journal_file()
        self.end_everything()
        os.truncate(path, HOLE_BYTES)
        self.begin_anew()
        waiting = self.start("peek", self.queue, "-n", 1)
        wait_until(lambda: self.status()["recovering"] == 1, "a queue that is being recovered")
        info = self.info()
        self.assertEqual(info["journal"], "recovering")
        self.assertGreater(info["recovery_bytes"], HOLE_BYTES - 1)
        before = info["recovered_bytes"]
        wait_until(lambda: self.info()["recovered_bytes"] > before, "progress")
        # Somebody else's queue, all the while.
        self.shmq("create", "other")
        self.shmq("send", "other", "one")
        self.assertEqual(self.shmq("recv", "other").stdout, b"one\n")
        self.assertEqual(self.status()["recovering"], 1, "too quick to show anything")
        self.assertRegex(self.shmq("info", self.queue).stdout.decode(), r"journal +recovering")
        self.assertRegex(self.shmq("status").stdout.decode(), r"queues being recovered +1")
        # Who attaches waits, not for ever, and is told for what.
        said = waiting.communicate(timeout=100)[1]
        if waiting.returncode == NOTHING and said:
            self.assertRegex(said, rb"is not back yet: its journal is being read: \d+ of \d+ MiB")
        wait_until(lambda: self.info()["journal"] == "ok", "recovered")
        self.assertEqual(self.status()["recovering"], 0)
        self.assertEqual(self.recv() == lines(1000), True)

    def test_a_queue_is_changed_and_held_up_while_its_log_is_read(self) -> None:
        self.create("--durability", "durable", "--capacity", 64, "--spill-limit", "1GiB")
        self.shmq("send", self.queue, "--confirm", "durable", input=lines(1000))
        path = self.journal_file()
        self.end_everything()
        os.truncate(path, HOLE_BYTES)
        self.begin_anew()
        # It may not be back at once; whoever manages it is told to wait, and then heard.
        wait_until(lambda: self.shmq("pause", self.queue, "--consume", status=None).returncode == 0,
                   "a pause")
        self.shmq("edit", self.queue, "--lease", "7s", "--spill-limit", "8GiB")
        page = self.shmq("metrics").stdout.decode()
        self.assertEqual(self.info()["journal"], "recovering", "too quick to show anything")
        for line in ('journal_state{queue="%s",state="recovering"} 1',
                     'spilled_messages{queue="%s"} 0',
                     'paused{queue="%s",role="consumer"} 1',
                     'journal_limit_bytes{queue="%s"} 8589934592'):
            self.assertIn(f"shmq_queue_{line % self.queue}", page.splitlines())
        wait_until(lambda: self.info()["journal"] == "ok", "recovered")
        self.shmq("recv", self.queue, "--timeout", "50ms", status=NOTHING)
        info = self.info()
        self.assertEqual((info["lease_ns"], info["spill_limit"], info["consumers_paused"],
                          info["ready"] + info["returned"]), (7_000_000_000, 8 << 30, True, 1000))
        self.shmq("resume", self.queue)
        self.assertEqual(self.recv() == lines(1000), True)

    def test_those_who_have_its_memory_go_on_and_nothing_is_doubled(self) -> None:
        self.create("--overflow", "spill", "--capacity", 64)
        self.shmq("send", self.queue, input=lines(1000))
        path = self.journal_file()
        held = self.start("recv", self.queue, "--follow", "--exec", "cat; echo; sleep 0.02")
        wait_until(lambda: self.info()["acked"] > 0, "a consumer")
        os.truncate(path, HOLE_BYTES)
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.status()["recovering"] == 1, "a queue that is being recovered")
        acked = self.info()["acked"]
        # From the ring, which is there.
        wait_until(lambda: self.info()["acked"] > acked, "messages while the log is read")
        self.assertEqual(self.info()["journal"], "recovering")
        # Who would do something to all of it is told to wait, and why.
        refused = self.shmq("rm", self.queue, status=None)
        self.assertIn(refused.returncode, (FAILED, NOTHING))
        self.assertRegex(refused.stderr,
                         b"is not back yet: its journal is being read" if refused.returncode == NOTHING
                         else b"remove it with force")  # it took no longer than that
        wait_until(lambda: self.info()["journal"] == "ok", "recovered")
        held.send_signal(signal.SIGTERM)
        out, _ = held.communicate(timeout=100)
        rest = self.recv()
        self.assertEqual(sorted(set((out + rest).splitlines())), sorted(lines(1000).splitlines()))
        again = (out + rest).count(b"\n") - 1000
        self.assertLessEqual(again, self.info()["redelivered"])

    def test_a_log_that_cannot_be_read_is_said_and_left_alone(self) -> None:
        self.create("--durability", "durable")
        self.shmq("send", self.queue, "--confirm", "durable", "one")
        strange = self.journal_file().with_name("0-0.journal")
        self.end_everything()
        strange.mkdir()
        self.begin_anew()
        wait_until(lambda: self.info()["journal"] == "failed", "a queue that cannot be read")
        self.assertIn("0-0.journal cannot be opened", self.info()["alarm"])
        self.end_everything()
        strange.rmdir()
        self.begin_anew()
        self.assertEqual(self.recv("-n", 1, "--timeout", "60s"), b"one\n")


class EndTest(CliTest):
    """What an end of the daemon leaves on disk of queues that only spill."""

    def overflow(self) -> list[Path]:
        return list(Path(f"{self.socket}.state").glob("queues/*/*.journal"))

    def end_daemon(self) -> None:
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(100), 0)

    def test_the_overflow_of_what_nobody_has_goes_with_its_daemon(self) -> None:
        self.create("--overflow", "spill", "--capacity", 64)
        self.shmq("send", self.queue, input=lines(1000))
        self.assertNotEqual(self.overflow(), [])
        self.end_daemon()
        self.assertEqual(self.overflow(), [])
        self.start_daemon()
        self.shmq("info", self.queue, status=FAILED)

    def test_what_somebody_has_stays(self) -> None:
        self.create("--overflow", "spill", "--capacity", 64)
        self.shmq("send", self.queue, input=lines(1000))
        holder = self.start("recv", self.queue, "--follow", "--exec", "exec sleep 100 >&- 2>&-")
        wait_until(lambda: self.info()["consumers"] == 1, "a consumer")
        self.end_daemon()
        self.assertNotEqual(self.overflow(), [])
        self.end(holder)
        self.start_daemon()


if __name__ == "__main__":
    main()
