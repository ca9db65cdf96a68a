#!/usr/bin/env python3
"""The CLI on what fails: pending, ack, nack, extend, release, dlq; and the options of create for it."""
import os
import signal
import time

from cli_support import CliTest, DONE, FAILED, NOTHING, USAGE, main, wait_until


class HandTest(CliTest):
    """Messages that a process of its own holds, settled from outside."""

    def hold(self, count: int = 1, *options: str):
        """A consumer that holds that many, each by a process that sleeps."""
        holders = [self.start("recv", self.queue, "-n", "1", "--exec", "exec sleep 20 >&- 2>&-", *options)
                   for _ in range(count)]
        wait_until(lambda: self.info()["leased"] == count, "the holders")
        return holders

    def pending(self):
        return self.json("pending", self.queue)

    def test_pending_shows_who_holds_what_and_how_long(self):
        self.create("--lease", "1h")
        self.send("a")
        holder = self.hold()[0]
        wait_until(lambda: self.pending()[0]["lease_left_ns"] is not None, "the first sight")
        entry = self.pending()[0]
        self.assertEqual(entry["state"], "leased")
        self.assertEqual(entry["pid"], holder.pid)
        self.assertEqual(entry["uid"], os.getuid())
        self.assertTrue(entry["executable"].endswith("/shmq"))
        self.assertEqual(entry["deliveries"], 1)
        self.assertEqual(entry["failures"], 0)
        self.assertIsNone(entry["due_in_ns"])
        self.assertLessEqual(entry["lease_left_ns"], 3600 * 10**9)
        self.assertIn("SEQUENCE", self.shmq("pending", self.queue).stdout.decode())
        os.kill(holder.pid, signal.SIGSTOP)
        wait_until(lambda: self.pending()[0]["process_state"] == "T", "the stop")

    def test_ack_nack_and_extend_by_sequence(self):
        self.create("--lease", "1h")
        self.send("a", "b", "c")
        self.hold(3)
        first, second, third = [entry["sequence"] for entry in self.pending()]
        self.assertEqual(self.shmq("ack", self.queue, first).stdout, b"acked 1 message\n")
        self.assertEqual(self.info()["acked"], 1)
        self.assertEqual(self.json("nack", self.queue, second, "--delay", "1h"),
                         {"name": self.queue, "done": 1, "refused": []})
        self.assertEqual(self.info()["delayed"], 1)
        delayed = [entry for entry in self.pending() if entry["state"] == "delayed"][0]
        self.assertGreater(delayed["due_in_ns"], 3500 * 10**9)
        self.shmq("nack", self.queue, second)
        self.assertEqual(self.recv("-n", "1"), b"b\n")
        self.shmq("extend", self.queue, third, "--lease", "2h")
        left = [entry["lease_left_ns"] for entry in self.pending()][0]
        self.assertGreater(left, 3600 * 10**9)
        gone = self.shmq("ack", self.queue, first, status=NOTHING)
        self.assertIn(f"message {first}: ", gone.stderr.decode())
        self.shmq("ack", self.queue, first, third, status=FAILED)
        self.assertEqual(self.json("nack", self.queue, 4711, status=NOTHING)["refused"][0]["sequence"],
                         4711)

    def test_words_that_are_no_sequences_are_usage_errors(self):
        self.create()
        for words in ([], ["x"], ["-1"], ["1x"]):
            self.shmq("ack", self.queue, *words, status=USAGE)

    def test_release_gives_back_what_a_process_holds(self):
        self.create("--lease", "1h")
        self.send("a")
        holder = self.hold()[0]
        self.shmq("release", status=USAGE)
        self.shmq("release", "--pid", "x", status=USAGE)
        self.shmq("release", "--pid", os.getpid(), status=NOTHING)
        self.shmq("release", "--pid", holder.pid, "no/such", status=FAILED)
        self.assertEqual(self.json("release", "--pid", holder.pid, self.queue),
                         {"pid": holder.pid, "released": 1})
        self.shmq("release", "--pid", holder.pid, status=NOTHING)
        self.assertEqual(self.recv("-n", "1"), b"a\n")


class DlqTest(CliTest):
    """Dead letters, made by consumers that are killed."""

    def kill_over(self, *messages: str) -> None:
        """Each of the messages kills a consumer; the queue has a limit of one."""
        self.create("--max-deliveries", "1")
        self.send(*messages)
        for _ in messages:
            self.kill_one()
        wait_until(lambda: self.info()["dead_lettered"] == len(messages), "the funerals")

    def kill_one(self) -> None:
        consumer = self.start("recv", self.queue, "-n", "1", "--exec", "kill -KILL $PPID")
        self.assertEqual(consumer.wait(60), -signal.SIGKILL)

    def letters(self, *options, status=DONE):
        return self.json("dlq", "ls", self.queue, *options, status=status)

    def test_ls_and_show_tell_the_history(self):
        self.kill_over("a", "b")
        letters = self.letters()
        self.assertEqual([letter["content"] for letter in letters], ["a", "b"])
        letter = letters[0]
        self.assertEqual(letter["reason"], "crashed:SIGKILL")
        self.assertEqual(letter["source"], self.queue)
        self.assertEqual((letter["failures"], letter["deliveries"], letter["redriven"]), (1, 1, 0))
        self.assertTrue(letter["executable"].endswith("/shmq"))
        self.assertGreaterEqual(letter["first_failure_age_ns"], letter["age_ns"])
        there = self.json("dlq", "ls", self.queue + ".dlq")
        self.assertEqual([letter["sequence"] for letter in there],
                         [letter["sequence"] for letter in letters])
        text = self.shmq("dlq", "show", self.queue, letter["sequence"]).stdout.decode()
        self.assertIn("crashed:SIGKILL", text)
        self.assertNotIn("\nb", text)
        self.assertIn("crashed:SIGKILL", self.shmq("dlq", "ls", self.queue).stdout.decode())
        self.assertEqual(self.info()["dead_crashed"], 2)

    def test_filters_choose(self):
        self.kill_over("a", "b")
        self.assertEqual(len(self.letters("--reason", "crashed")), 2)
        self.assertEqual(len(self.letters("--reason", "crashed:SIGKILL")), 2)
        self.assertEqual(self.letters("--reason", "crashed:SIG", status=NOTHING), [])
        self.assertEqual(self.letters("--reason", "rejected", status=NOTHING), [])
        self.assertEqual(self.letters("--older-than", "1h", status=NOTHING), [])
        self.assertEqual(len(self.letters("--older-than", "1ns")), 2)
        self.shmq("dlq", "redrive", self.queue, "--reason", "expired", status=NOTHING)

    def test_redrive_sends_back_with_a_mark(self):
        self.kill_over("a", "b")
        dry = self.json("dlq", "redrive", self.queue, "--dry-run")
        self.assertEqual(dry["would_be_done"], 2)
        self.assertEqual(len(self.letters()), 2)
        self.assertEqual(self.shmq("dlq", "redrive", self.queue).stdout, b"redriven 2 messages\n")
        self.letters(status=NOTHING)
        self.assertEqual(self.info()["moved_in"], 2)
        again = self.json("peek", self.queue)
        self.assertEqual([message["content"] for message in again], ["a", "b"])
        self.assertEqual([message["redriven"] for message in again], [True, True])
        self.assertEqual([message["failures"] for message in again], [0, 0])
        # It dies once more: the mark goes along.
        self.kill_one()
        wait_until(lambda: self.info()["dead_lettered"] == 3, "the second funeral")
        self.assertEqual(self.letters()[0]["redriven"], 1)
        self.assertEqual(self.recv("-n", "1"), b"b\n")

    def test_redrive_elsewhere_and_no_faster_than_told(self):
        self.kill_over("a", "b", "c")
        self.shmq("create", self.queue + "/there")
        begun = time.monotonic()
        self.shmq("dlq", "redrive", self.queue, "--to", self.queue + "/there", "--rate", "10")
        self.assertGreaterEqual(time.monotonic() - begun, 0.2)
        self.assertEqual(self.shmq("recv", self.queue + "/there", "-n", "3").stdout, b"a\nb\nc\n")
        self.kill_more("d")
        refused = self.shmq("dlq", "redrive", self.queue, "--to", "no/such", status=FAILED)
        self.assertIn("no/such", refused.stderr.decode())
        self.assertEqual(len(self.letters()), 1)

    def kill_more(self, message: str) -> None:
        before = self.info()["dead_lettered"]
        self.send(message)
        self.kill_one()
        wait_until(lambda: self.info()["dead_lettered"] == before + 1, "the funeral")

    def test_purge_drops_those_chosen(self):
        self.kill_over("a", "b")
        first = self.letters()[0]["sequence"]
        self.assertEqual(self.json("dlq", "purge", self.queue, first)["done"], 1)
        self.assertEqual([letter["content"] for letter in self.letters()], ["b"])
        self.shmq("dlq", "purge", self.queue)
        self.shmq("dlq", "purge", self.queue, status=NOTHING)

    def test_wrong_words(self):
        self.create()
        for words in (["dlq"], ["dlq", "ls"], ["dlq", "bury", self.queue],
                      ["dlq", "ls", self.queue, "x"], ["dlq", "ls", "a//b"]):
            self.shmq(*words, status=USAGE)
        self.shmq("dlq", "ls", self.queue, status=NOTHING)
        self.shmq("dlq", "ls", "no/such", status=FAILED)


class OptionsTest(CliTest):
    def test_the_options_of_create_are_shown_by_info(self):
        self.create("--max-deliveries", "7", "--dead-letter", "grave", "--retry-delay", "1s..1m",
                    "--pause-stopped")
        info = self.info()
        self.assertEqual((info["max_deliveries"], info["dead_letter"]), (7, "grave"))
        self.assertEqual((info["retry_delay_ns"], info["retry_delay_max_ns"]), (10**9, 60 * 10**9))
        self.assertTrue(info["pause_stopped"])
        text = self.shmq("info", self.queue).stdout.decode()
        self.assertIn("1s..1m", text)
        self.assertIn("to grave", text)

    def test_none_and_unlimited(self):
        self.create("--max-deliveries", "unlimited", "--no-dead-letter")
        self.assertEqual((self.info()["max_deliveries"], self.info()["dead_letter"]), (0, ""))
        self.shmq("dlq", "ls", self.queue, status=NOTHING)

    def test_wrong_ones(self):
        for words in (["--max-deliveries", "0"], ["--max-deliveries", "1024"],
                      ["--dead-letter", "a//b"], ["--dead-letter", self.queue],
                      ["--dead-letter", "x", "--no-dead-letter"], ["--retry-delay", "soon"],
                      ["--retry-delay", "2s..1s"], ["--retry-delay", "1s..x"]):
            self.shmq("create", self.queue, *words, status=USAGE)


if __name__ == "__main__":
    main()
