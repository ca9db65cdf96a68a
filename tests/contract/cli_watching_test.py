#!/usr/bin/env python3
"""Verbs that move and watch: mv, consumers, stats; --watch, --color, and near misses of names."""

import json
import os
import signal

from cli_support import DONE, FAILED, NOTHING, USAGE, CliTest, main, state_of, wait_until

# A command that holds its message, and not the pipes of this test once it is orphaned.
HOLD = "exec sleep 30 >&- 2>&-"


class MvTest(CliTest):
    def setUp(self) -> None:
        super().setUp()
        self.to = f"{self.queue}.to"
        self.create()

    def target(self, *options: str) -> None:
        self.shmq("create", self.to, *options)

    def contents(self, queue: str) -> list[str]:
        done = self.shmq("peek", queue, "-n", 100000, "--json", status=None)
        return [message["content"] for message in json.loads(done.stdout)]

    def test_all_in_order_and_large_ones_too(self) -> None:
        self.target()
        messages = [f"m{number}" + "x" * (number % 7 * 100) for number in range(600)]
        self.shmq("send", self.queue, input="\n".join(messages).encode())
        moved = self.json("mv", self.queue, self.to)
        self.assertEqual((moved["moved"], moved["would_be_moved"], moved["problem"]),
                         (600, 0, None))
        self.assert_counts(ready=0, returned=0, redriven=600)
        self.assertEqual(self.contents(self.to), messages)
        self.assertEqual(self.json("info", self.to)["moved_in"], 600)
        self.shmq("mv", self.queue, self.to, status=NOTHING)

    def test_count_and_dry_run(self) -> None:
        self.target()
        self.send("a", "b", "c")
        self.assertEqual(self.shmq("mv", self.queue, self.to, "--dry-run").stdout,
                         b"would move 3 messages\n")
        self.assertEqual(self.json("mv", self.queue, self.to, "--dry-run")["would_be_moved"], 3)
        self.assert_counts(ready=3)
        self.assertEqual(self.shmq("mv", self.queue, self.to, "-n", 2).stdout,
                         b"moved 2 messages\n")
        self.assertEqual((self.contents(self.queue), self.contents(self.to)), (["c"], ["a", "b"]))

    def test_what_a_consumer_holds_stays(self) -> None:
        self.target()
        self.send("held", "free")
        holder = self.start("recv", self.queue, "-n", 1, "--exec", HOLD)
        self.wait_for("leased", 1)
        self.assertEqual(self.json("mv", self.queue, self.to)["moved"], 1)
        self.assert_counts(leased=1, ready=0)
        self.assertEqual(self.contents(self.to), ["free"])
        holder.kill()

    def test_a_full_target_ends_it_and_the_same_again_goes_on(self) -> None:
        self.target("--capacity", "64")
        self.shmq("send", self.queue, input=b"x\n" * 100)
        done = self.shmq("mv", self.queue, self.to, status=FAILED)
        self.assertIn(f"queue '{self.to}' is full; 64 of 100 moved", done.stderr.decode())
        self.assert_counts(ready=36, returned=0)
        self.shmq("recv", self.to, "-n", 64)
        self.assertEqual(self.json("mv", self.queue, self.to)["moved"], 36)

    def test_a_backlog_on_disk_comes_too(self) -> None:
        source = f"{self.queue}.spills"
        self.shmq("create", source, "--capacity", "64", "--overflow", "spill")
        self.target("--capacity", "4096")
        lines = [f"{number}" for number in range(1000)]
        self.shmq("send", source, input="\n".join(lines).encode())
        self.assertEqual(self.json("mv", source, self.to)["moved"], 1000)
        self.assertEqual(self.contents(self.to), lines)

    def test_killed_on_the_way_nothing_is_lost_or_doubled(self) -> None:
        self.target("--capacity", "4096")
        lines = sorted(f"{number:04}" for number in range(1000))
        self.shmq("send", self.queue, input="\n".join(lines).encode())
        mover = self.start("mv", self.queue, self.to, "--rate", 400)
        wait_until(lambda: self.json("info", self.to)["moved_in"] > 0, "the first ones moved")
        mover.send_signal(signal.SIGKILL)
        mover.wait()
        self.assertGreater(self.info()["ready"], 0)
        self.shmq("mv", self.queue, self.to)
        self.assertEqual(sorted(self.contents(self.to)), lines)

    def test_refusals(self) -> None:
        self.send("m")
        done = self.shmq("mv", self.queue, self.to, status=FAILED)
        self.assertIn(f"no queue '{self.to}'", done.stderr.decode())
        self.shmq("mv", self.queue, self.queue, status=USAGE)
        self.shmq("mv", self.queue, status=USAGE)

    def test_into_the_journal_of_a_durable_queue(self) -> None:
        self.target("--durability", "logged", "--capacity", "64")
        self.send(*(f"{number}" for number in range(1000)))
        self.assertEqual(self.shmq("mv", self.queue, self.to).stdout, b"moved 1,000 messages\n")
        self.wait_for("held", 0)
        self.assert_counts(ready=0, redriven=1000)
        self.assertGreater(self.json("info", self.to)["spilled"], 0)
        moved = self.shmq("recv", self.to, "-n", 1000).stdout.split()
        self.assertEqual(sorted(map(int, moved)), list(range(1000)))


class ConsumersTest(CliTest):
    def members(self) -> list[dict]:
        return self.json("consumers", self.queue)

    def test_who_holds_what_and_in_which_state(self) -> None:
        self.create()
        self.assertEqual(self.members(), [])
        self.send("a", "b")
        holder = self.start("recv", self.queue, "-n", 1, "--exec", HOLD)
        self.wait_for("leased", 1)
        (member,) = self.members()
        self.assertEqual((member["role"], member["pid"], member["uid"], member["in_flight"]),
                         ("consumer", holder.pid, os.getuid(), 1))
        self.assertEqual((member["delivered"], member["acked"]), (1, 0))
        self.assertTrue(member["executable"].endswith("/shmq"))
        self.assertGreater(member["oldest_unacked_ns"], 0)
        os.kill(holder.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(holder.pid) == "T", "stopped")
        self.assertEqual(self.members()[0]["process_state"], "T")
        text = self.shmq("consumers", self.queue).stdout.decode()
        self.assertRegex(text, rf"(?m)^{self.queue} +\d+ +consumer +{holder.pid} +\d+ +T +1 ")
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: not self.members(), "nobody is left")

    def test_all_queues_and_producers(self) -> None:
        self.create()
        sender = self.start("send", self.queue, stdin=-1)
        sender.stdin.write(b"m\n")
        sender.stdin.flush()
        wait_until(lambda: any(member["queue"] == self.queue and member["role"] == "producer"
                               and member["sent"] == 1 for member in self.json("consumers")),
                   "the producer")

    def test_a_queue_that_is_not_there(self) -> None:
        self.shmq("consumers", "nowhere-at-all", status=FAILED)


class StatsTest(CliTest):
    def test_rates_and_totals(self) -> None:
        self.create()
        self.send("a", "b", "c")
        self.recv("-n", 1)
        (queue,) = [each for each in self.json("stats", "--interval", "50ms")
                    if each["name"] == self.queue]
        self.assertEqual((queue["totals"]["sent"], queue["totals"]["acked"], queue["ready"]),
                         (3, 1, 2))
        self.assertGreaterEqual(queue["interval_ns"], 50_000_000)
        self.assertEqual(queue["rates"]["sent"], 0)
        sender = self.start("send", self.queue, stdin=-1)
        watcher = self.start("stats", self.queue, "--watch", "50ms", "--json")
        decoder, text, rates = json.JSONDecoder(), "", []
        while not any(rates):
            sender.stdin.write(b"m\n" * 5)
            sender.stdin.flush()
            text = (text + watcher.stdout.readline().decode()).lstrip()
            try:
                looked, end = decoder.raw_decode(text)
            except ValueError:
                continue
            rates.append(looked[0]["rates"]["sent"])
            text = text[end:]
        text = self.shmq("stats", self.queue, "--interval", "1ms").stdout.decode()
        self.assertRegex(text, r"(?m)^COUNTER +RATE +TOTAL$")
        self.assertRegex(text, r"(?m)^acked +0/s +1$")

    def test_no_queue_and_no_such_queue(self) -> None:
        self.shmq("stats", "nowhere-at-all", status=FAILED)


class WatchTest(CliTest):
    def test_again_and_again_until_a_signal(self) -> None:
        self.create()
        for signalled in (signal.SIGINT, signal.SIGTERM):
            watcher = self.start("ls", "--names", "--watch", "50ms")
            for _ in range(3):
                self.assertIn(self.queue, self.read_until(watcher, self.queue))
            watcher.send_signal(signalled)
            watcher.communicate()
            self.assertEqual(watcher.returncode, DONE)

    @staticmethod
    def read_until(process, line: str) -> str:
        for text in process.stdout:
            if text.decode().rstrip() == line:
                return line
        return ""

    def test_the_interval_may_be_left_out_and_may_be_wrong(self) -> None:
        self.create()
        watcher = self.start("info", "--watch", self.queue)
        self.assertTrue(watcher.stdout.readline().startswith(b"name"))
        done = self.shmq("ls", "--watch", "1fortnight", status=USAGE)
        self.assertIn("--watch: '1fortnight'", done.stderr.decode())

    def test_it_ends_with_what_it_watches(self) -> None:
        self.create()
        watcher = self.start("info", self.queue, "--watch", "50ms")
        watcher.stdout.readline()
        self.shmq("rm", self.queue)
        _, errors = watcher.communicate()
        self.assertEqual(watcher.returncode, FAILED)
        self.assertIn(self.queue.encode(), errors)


class NearMissTest(CliTest):
    def error(self, *words: str) -> str:
        return self.shmq(*words, status=None).stderr.decode()

    def test_did_you_mean(self) -> None:
        self.shmq("create", "invoices")
        self.assertIn("did you mean 'invoices'?", self.error("info", "invioces"))
        self.assertIn("did you mean 'invoices'?", self.error("peek", "invoice"))
        self.assertNotIn("did you mean", self.error("info", "something-else"))
        self.assertIn("did you mean --json?", self.error("info", "invoices", "--jsn"))
        self.assertIn("did you mean --capacity?", self.error("create", "x", "--capactiy=3"))
        self.assertIn("did you mean --socket?", self.error("ls", "--sockte"))
        self.assertNotIn("did you mean", self.error("ls", "--qqqqqqq"))
        self.assertIn("did you mean 'shmq consumers'?", self.error("consumer"))

    def test_colour_on_demand(self) -> None:
        self.assertIn(b"\x1b[", self.shmq("ls", "--color", "always").stdout)
        self.assertIn(b"\x1b[", self.shmq("--color=always", "ls").stdout)
        self.assertNotIn(b"\x1b[", self.shmq("ls", "--color", "never").stdout)
        self.assertNotIn(b"\x1b[", self.shmq("ls", "--color", "auto").stdout)
        self.shmq("ls", "--color", "sometimes", status=USAGE)


if __name__ == "__main__":
    main()
