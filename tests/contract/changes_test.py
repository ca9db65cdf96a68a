#!/usr/bin/env python3
"""What managers change of a queue in use: edit, pause and resume; over a daemon's death, too."""

import json
import os
import signal
import time

from cli_support import DONE, FAILED, NOTHING, USAGE, CliTest, main, wait_until

# A command that holds its message, and not the pipes of this test once it is orphaned.
HOLD = "exec sleep 30 >&- 2>&-"


class EditTest(CliTest):
    def edit(self, *options: object, status: int = DONE) -> str:
        return self.shmq("edit", self.queue, *options, status=status).stderr.decode()

    def test_all_that_can_change(self) -> None:
        self.create()
        self.edit("--lease", "3s", "--max-deliveries", 5, "--dead-letter", "elsewhere",
                  "--retry-delay", "10ms..1s", "--mode", "751", "--group", os.getgid(),
                  "--overflow", "reject", "--in-flight", 9, "--pause-stopped", "yes")
        info = self.info()
        expected = {"lease_ns": 3_000_000_000, "max_deliveries": 5, "dead_letter": "elsewhere",
                    "retry_delay_ns": 10_000_000, "retry_delay_max_ns": 1_000_000_000,
                    "mode": "0751", "overflow": "reject", "in_flight": 9, "pause_stopped": True}
        self.assertEqual({name: info[name] for name in expected}, expected)
        self.edit("--retry-delay", "none", "--no-dead-letter", "--max-deliveries", "unlimited",
                  "--overflow", "block", "--owner", 12345)
        info = self.info()
        self.assertEqual((info["retry_delay_ns"], info["retry_delay_max_ns"], info["dead_letter"],
                          info["max_deliveries"], info["overflow"], info["owner"]),
                         (0, 0, "", 0, "block", 12345))
        self.assertEqual(info["lease_ns"], 3_000_000_000, "what was not said stays")

    def test_what_cannot_change_says_why(self) -> None:
        self.create()
        for option, value in (("--capacity", 4096), ("--slot-size", 128), ("--pool", "1MiB"),
                              ("--durability", "durable"), ("--exclusive-consumer", "yes"),
                              ("--spill-limit", "1GiB"), ("--when-full", "reject")):
            said = self.edit("--lease", "2s", option, value, status=USAGE)
            self.assertIn("cannot become", said)
            self.assertIn("make another queue", said)
        self.assertEqual(self.info()["lease_ns"], 30_000_000_000, "all or nothing")
        self.edit(status=USAGE)
        self.edit("--lease", "1ms", status=USAGE)
        self.shmq("edit", "no-such", "--lease", "1s", status=FAILED)

    def test_a_shorter_lease_holds_at_once(self) -> None:
        self.create("--max-deliveries", 5)
        self.send("m")
        holder = self.start("recv", self.queue, "--exec", HOLD)
        self.wait_for("leased", 1)
        self.edit("--lease", "50ms")
        self.wait_for("expired", 1)
        holder.kill()

    def test_senders_see_a_change_of_what_a_full_queue_does(self) -> None:
        self.create("--capacity", 64)
        self.shmq("send", self.queue, input=b"x\n" * 64)
        waiting = self.start("send", self.queue, "one more")
        wait_until(lambda: waiting.poll() is None, "it waits")
        self.edit("--overflow", "reject")
        self.shmq("send", self.queue, "another", status=FAILED)
        waiting.kill()

    def test_a_spill_limit_changes(self) -> None:
        self.create("--overflow", "spill", "--spill-limit", "64MiB")
        self.edit("--spill-limit", "128MiB", "--when-full", "reject")
        info = self.info()
        self.assertEqual((info["spill_limit"], info["when_full"]), (128 << 20, "reject"))
        self.edit("--spill-limit", "none")
        self.assertEqual(self.info()["spill_limit"], 0)

    def test_changes_outlive_the_daemon(self) -> None:
        self.create()
        self.send("kept")
        for lease in (5, 7):
            self.edit("--lease", f"{lease}s", "--mode", "751", "--overflow", "reject")
            self.shmq("pause", self.queue, "--produce")
            old = self.daemon_pid()
            os.kill(old, signal.SIGKILL)
            wait_until(lambda old=old: self.shmq("status", status=None).returncode == 0
                       and self.daemon_pid() != old, "another daemon")
            info = self.info()
            self.assertEqual((info["lease_ns"], info["mode"], info["overflow"]),
                             (lease * 1_000_000_000, "0751", "reject"))
            self.assertEqual((info["producers_paused"], info["consumers_paused"], info["ready"]),
                             (True, False, 1))
        self.shmq("resume", self.queue)
        self.send("more")
        self.assertEqual(self.recv(), b"kept\nmore\n")


class PauseTest(CliTest):
    def test_producers_wait_and_go_on(self) -> None:
        self.create()
        self.shmq("pause", self.queue, "--produce")
        waiting = self.start("send", self.queue, "late")
        self.assert_paused(True, False)
        done = self.shmq("send", self.queue, "never", "--timeout", "50ms", status=NOTHING)
        self.assert_counts(sent=0)
        self.assertIsNone(waiting.poll(), done.stderr)
        self.shmq("resume", self.queue)
        self.assertEqual(waiting.wait(60), DONE)
        self.assertEqual(self.recv(), b"late\n")

    def test_consumers_wait_and_go_on_and_acks_do_not_wait(self) -> None:
        self.create()
        self.send("first")
        holder = self.start("recv", self.queue, "-n", 1, "--exec", "exec sleep 0.3 >&- 2>&-")
        self.wait_for("leased", 1)
        self.shmq("pause", self.queue, "--consume")
        self.send("second")
        self.wait_for("acked", 1)
        holder.wait(60)
        waiting = self.start("recv", self.queue, "-n", 1)
        self.shmq("recv", self.queue, "--timeout", "50ms", "-n", 1, status=NOTHING)
        self.assert_counts(ready=1, delivered=1)
        self.shmq("resume", self.queue, "--produce")  # not theirs
        self.assert_paused(False, True)
        self.shmq("resume", self.queue, "--consume")
        self.assertEqual(waiting.communicate(timeout=60)[0], b"second\n")

    def test_a_sleeper_is_not_woken_into_a_pause(self) -> None:
        self.create()
        waiting = self.start("recv", self.queue, "-n", 1)
        wait_until(lambda: self.info()["consumers"] == 1, "a consumer")
        self.shmq("pause", self.queue)
        self.assert_paused(True, True)
        self.assertIn("producers and consumers", self.shmq("info", self.queue).stdout.decode())
        self.shmq("resume", self.queue, "--produce")
        self.send("m")
        time.sleep(0.1)
        self.assertIsNone(waiting.poll())
        self.shmq("resume", self.queue)
        self.assertEqual(waiting.communicate(timeout=60)[0], b"m\n")

    def test_a_paused_queue_can_be_removed(self) -> None:
        self.create()
        self.shmq("pause", self.queue)
        waiting = self.start("recv", self.queue, "-n", 1)
        wait_until(lambda: self.info()["consumers"] == 1, "a consumer")
        self.shmq("rm", self.queue, "--force")
        self.assertEqual(waiting.wait(60), FAILED)

    def assert_paused(self, producers: bool, consumers: bool) -> None:
        info = json.loads(self.shmq("info", self.queue, "--json").stdout)
        self.assertEqual((info["producers_paused"], info["consumers_paused"]),
                         (producers, consumers))


if __name__ == "__main__":
    main()
