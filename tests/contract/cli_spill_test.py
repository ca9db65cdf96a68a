#!/usr/bin/env python3
"""Queues with a journal on the command line: what is made, shown, promised and refused."""

import os
import signal
import unittest
from pathlib import Path

from cli_support import DONE, FAILED, USAGE, CliTest, main, wait_until


class SpillTest(CliTest):
    def journals(self) -> list[Path]:
        return list(Path(f"{self.socket}.state").glob("queues/*/*.journal"))

    def tearDown(self) -> None:
        self.shmq("rm", self.queue, "--force", status=None)

    def lines(self, count: int) -> bytes:
        return b"".join(b"%d\n" % i for i in range(count))

    def test_options_are_in_force_and_shown(self) -> None:
        self.create("--overflow", "spill", "--spill-limit", "1G", "--when-full", "reject")
        info = self.info()
        expected = {"overflow": "spill", "spill_limit": 1 << 30, "when_full": "reject",
                    "durability": "accepted", "journal": "ok", "gate": "direct", "spilled": 0}
        self.assertEqual({name: info[name] for name in expected}, expected)
        text = self.shmq("info", self.queue).stdout.decode()
        for line in (r"journal +ok", r"  spill limit +1 GiB", r"  when full +reject"):
            self.assertRegex(text, rf"(?m)^{line}$")

    def test_durability_implies_spill_with_any_role(self) -> None:
        self.create("--durability", "logged", "--exclusive-producer", "--exclusive-consumer")
        info = self.info()
        self.assertEqual((info["overflow"], info["durability"]), ("spill", "logged"))

    def test_if_missing(self) -> None:
        self.create("--durability", "durable", "--spill-limit", "1G")
        self.create("--if-missing", "--overflow", "spill", "--durability", "durable")
        for option in (("--durability", "logged"), ("--overflow", "reject"),
                       ("--overflow", "spill", "--spill-limit", "2G"),
                       ("--overflow", "spill", "--when-full", "reject")):
            text = self.shmq("create", self.queue, "--if-missing", *option,
                             status=FAILED).stderr.decode()
            self.assertIn(option[-2][2:].replace("-", "_"), text)

    def test_a_backlog_goes_to_disk_and_comes_back(self) -> None:
        lines = self.lines(50_000)
        self.create("--capacity", "1024", "--overflow", "spill")
        self.shmq("send", self.queue, input=lines)
        info = self.info()
        self.assertEqual((info["ready"], info["gate"]), (50_000, "journal"))
        self.assertGreater(info["spilled"], 40_000)
        self.assertGreater(info["spilled_bytes"], info["spilled"])
        self.assertGreater(info["journal_bytes"], info["spilled_bytes"])
        self.assertTrue(self.journals())
        self.assertEqual(self.recv("-n", 50_000), lines)
        wait_until(lambda: self.info()["gate"] == "direct", "the gate")
        wait_until(lambda: not self.journals(), "the disk space")
        info = self.info()
        self.assertEqual((info["spilled"], info["spilled_bytes"], info["journal_bytes"]),
                         (0, 0, 0))

    def test_a_limit_that_was_reached_and_a_daemon_that_is_killed_then(self) -> None:
        lines = self.lines(100_000)
        self.create("--capacity", "64", "--overflow", "spill", "--spill-limit", "2M",
                    "--when-full", "reject")
        self.assertIn("is full", self.shmq("send", self.queue, input=lines,
                                           status=FAILED).stderr.decode())
        info = self.info()
        self.assertEqual(info["journal"], "no room")
        self.assertIn("the limit of 2097152 bytes is reached", info["alarm"])
        self.assertLessEqual(info["journal_bytes"], 2 << 20)
        self.assertGreater(info["sent"], 10_000)
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.json("status")["pid"] != before, "a successor")
        received = self.recv("-n", info["sent"], "--timeout", "20s").splitlines()
        self.assertEqual(received, lines.splitlines()[:info["sent"]])
        wait_until(lambda: self.info()["alarm"] == "", "room")

    def test_rm_asks_for_force_and_takes_the_files(self) -> None:
        self.create("--capacity", "64", "--overflow", "spill")
        self.shmq("send", self.queue, input=self.lines(1000))
        self.recv("-n", 64)
        self.assertIn("remove it with force",
                      self.shmq("rm", self.queue, status=FAILED).stderr.decode())
        self.shmq("rm", self.queue, "--force")
        self.assertEqual(os.listdir(f"{self.socket}.state/queues"), [])

    def test_purge_empties_the_journal(self) -> None:
        self.create("--capacity", "64", "--overflow", "spill")
        self.shmq("send", self.queue, input=self.lines(1000))
        self.shmq("purge", self.queue)
        wait_until(lambda: self.info()["ready"] == 0, "nothing")
        self.shmq("rm", self.queue)

    def test_send_ends_when_the_confirm_is_there(self) -> None:
        self.create("--durability", "durable")
        self.shmq("send", self.queue, "--confirm", "durable", input=self.lines(1000))
        info = self.info()
        self.assertEqual((info["logged"], info["durable"]), (1000, 1000))
        self.assertGreater(info["syncs"], 0)
        self.assertEqual(self.recv("-n", 1000), self.lines(1000))

    def test_a_confirm_beyond_the_promise_is_refused_before_anything_is_sent(self) -> None:
        self.create("--durability", "logged")
        self.shmq("send", self.queue, "--confirm", "logged", "m", status=DONE)
        info = self.info()
        self.assertEqual((info["logged"], info["durable"], info["syncs"]), (1, 0, 0))
        text = self.shmq("send", self.queue, "--confirm", "durable", "m", status=USAGE)
        self.assertIn("the queue promises logged only", text.stderr.decode())
        self.assert_counts(sent=1)


if __name__ == "__main__":
    main()
