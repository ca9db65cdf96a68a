#!/usr/bin/env python3
"""What each verb of the CLI does and prints, its flags, and its JSON."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from cli_support import (ALL, BIN_DIR, DONE, FAILED, NOTHING, USAGE, CliTest, main, state_of,
                         wait_until)

QUEUE_FIELDS = {
    "name", "capacity", "ready", "leased", "returned", "sent", "delivered", "acked", "redelivered",
    "dropped", "producers", "consumers", "slot_size", "max_message", "pool", "overflow", "lease_ns",
    "in_flight", "exclusive_producer", "exclusive_consumer", "exact_timestamps", "mode", "owner",
    "spill_limit", "when_full", "durability", "gate", "journal", "spilled", "spilled_bytes",
    "journal_bytes", "syncs", "logged", "durable", "group", "memory_bytes", "sent_bytes", "quarantined", "purged", "expired", "reclaimed"}


class CreateTest(CliTest):
    def test_defaults(self) -> None:
        self.create()
        info = self.info()
        self.assertLessEqual(QUEUE_FIELDS, set(info))
        self.assertEqual(info["name"], self.queue)
        self.assertEqual((info["capacity"], info["slot_size"]), (1024, 64))
        self.assertEqual((info["max_message"], info["pool"]), (1 << 20, 64 << 20))
        self.assertEqual((info["overflow"], info["mode"]), ("block", "0700"))
        self.assertEqual((info["lease_ns"], info["in_flight"]), (30_000_000_000, 64))
        self.assertEqual(info["owner"], os.getuid())
        self.assertEqual((info["gate"], info["journal"], info["durability"]),
                         ("none", "none", "accepted"))
        self.assertNotIn("journal", self.shmq("info", self.queue).stdout.decode())
        self.assert_counts(ready=0, leased=0, returned=0, sent=0, producers=0, consumers=0)

    def test_every_option(self) -> None:
        self.create("--capacity", "4096", "--slot-size", "256", "--max-message", "64K",
                    "--pool", "8MiB", "--overflow", "reject", "--lease", "1.5s", "--in-flight", 7,
                    "--mode", "750", "--group", os.getgid(), "--exclusive-producer",
                    "--exclusive-consumer", "--exact-timestamps")
        info = self.info()
        expected = {"capacity": 4096, "slot_size": 256, "max_message": 65536, "pool": 8 << 20,
                    "overflow": "reject", "lease_ns": 1_500_000_000, "in_flight": 7,
                    "mode": "0750", "group": os.getgid(), "exclusive_producer": True,
                    "exclusive_consumer": True, "exact_timestamps": True}
        self.assertEqual({name: info[name] for name in expected}, expected)

    def test_drop_oldest_drops_the_oldest(self) -> None:
        self.create("--capacity", "64", "--overflow", "drop-oldest")
        self.shmq("send", self.queue, input=b"".join(b"%d\n" % i for i in range(100)))
        lines = self.recv().split()
        self.assertEqual(lines[-1], b"99")
        self.assertEqual(self.info()["dropped"] + len(lines), 100)

    def test_reject_rejects(self) -> None:
        self.create("--capacity", "64", "--overflow", "reject")
        done = self.shmq("send", self.queue, input=b"x\n" * 100, status=FAILED)
        sent = self.info()["sent"]
        self.assertGreater(sent, 0)
        self.assertIn(f"{sent} sent before", done.stderr.decode())

    def test_a_confirm_that_the_queue_does_not_give_is_refused_before_anything_is_sent(self) -> None:
        self.create()
        self.shmq("send", self.queue, "--confirm", "accepted", "m")
        done = self.shmq("send", self.queue, "--confirm", "durable", "m", status=USAGE)
        self.assertIn("the queue promises accepted only", done.stderr.decode())
        self.assert_counts(sent=1)

    def test_if_missing(self) -> None:
        self.create("--capacity", "128")
        self.shmq("create", self.queue, status=FAILED)
        self.create("--if-missing")
        self.create("--if-missing", "--capacity", "128")
        done = self.shmq("create", self.queue, "--if-missing", "--capacity", "256", status=FAILED)
        self.assertIn("capacity", done.stderr.decode())

    def test_names_that_look_like_verbs_and_have_parts(self) -> None:
        for name in ("ls", "send", "a/b-c_d.e", "x" * 255):
            self.shmq("create", name)
            self.shmq("send", name, "m")
            self.assertEqual(self.shmq("recv", name).stdout, b"m\n")
            self.shmq("rm", name)


class LsTest(CliTest):
    def test_ls(self) -> None:
        for name in ("b", "a/x", "c"):
            self.shmq("create", name)
        self.shmq("send", "b", "1", "2")
        listed = self.json("ls")
        self.assertEqual([queue["name"] for queue in listed], ["a/x", "b", "c"])
        self.assertLessEqual(QUEUE_FIELDS, set(listed[1]))
        self.assertEqual(listed[1]["ready"], 2)
        self.assertEqual(self.shmq("ls", "--names").stdout, b"a/x\nb\nc\n")
        lines = self.shmq("ls").stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^NAME +READY +SPILLED +LEASED +RETURNED +SENT ")
        self.assertRegex(lines[2], r"^b +2 +0 +0 +0 +2 ")
        self.assertNotIn("\x1b", "".join(lines))


class ListingTest(CliTest):
    def test_info_is_for_people_without_json(self) -> None:
        self.create()
        text = self.shmq("info", self.queue).stdout.decode()
        self.assertRegex(text, rf"(?m)^name +{self.queue}$")
        self.assertRegex(text, r"(?m)^lease +30s$")

    def test_status(self) -> None:
        status = self.json("status")
        self.assertLessEqual({"pid", "version", "queues", "socket", "sessions", "uptime_ns"},
                             set(status))
        self.assertEqual(status["pid"], self.daemon_pid())
        self.assertEqual((status["restarts"], status["adopted"]), (0, 0))
        self.assertEqual(status["socket"], self.socket)
        self.create()
        self.assertEqual(self.json("status")["queues"], status["queues"] + 1)
        self.assertRegex(self.shmq("status").stdout.decode(), rf"(?m)^pid +{status['pid']}$")

    def test_the_socket_may_come_from_the_environment(self) -> None:
        environment = {**os.environ, "SHMQ_SOCKET": self.socket}
        done = subprocess.run([BIN_DIR / "shmq", "status", "--json"], env=environment,
                              capture_output=True, check=True)
        self.assertEqual(json.loads(done.stdout)["pid"], self.daemon_pid())

    def test_version(self) -> None:
        version = self.shmq("--version").stdout.decode()
        self.assertRegex(version, r"^shmq \d+\.\d+\.\d+\n$")
        number = version.split()[1]
        self.assertRegex(self.shmq("version").stdout.decode(),
                         rf"^shmq {number}, segments of format \d+\ndaemon {number}, pid \d+\n$")
        self.assertEqual(self.json("version")["daemon"], number)
        done = subprocess.run([BIN_DIR / "shmq", "version", "--json", "--socket",
                               f"{self.directory.name}/nobody"], capture_output=True, check=True)
        nobody = json.loads(done.stdout)
        self.assertEqual((nobody["shmq"], nobody["daemon"]), (number, None))

    def test_help_has_an_example_for_each_verb(self) -> None:
        text = self.shmq("--help").stdout.decode()
        verbs = re.findall(r"(?m)^  ([a-z]+)  +[A-Z]", text.partition("Options:")[2])
        self.assertLessEqual({"create", "ls", "info", "status", "rm", "purge", "send", "recv",
                              "pending", "ack", "nack", "extend", "release", "dlq", "peek",
                              "journal", "version"}, set(verbs))
        for verb in verbs:
            self.assertIn(f"Example:\n  shmq {verb}",
                          self.shmq(verb, "--help").stdout.decode().replace("\n\n", "\n"))


class RemoveTest(CliTest):
    def test_rm_of_an_idle_queue(self) -> None:
        self.create()
        self.shmq("rm", self.queue)
        self.shmq("info", self.queue, status=FAILED)

    def test_rm_with_messages_needs_force(self) -> None:
        self.create()
        self.send("m")
        self.assertIn("force", self.shmq("rm", self.queue, status=FAILED).stderr.decode())
        self.shmq("rm", self.queue, "--force")
        self.shmq("info", self.queue, status=FAILED)

    def test_rm_tells_sleeping_users(self) -> None:
        self.create("--capacity", "64")
        receiver = self.start("recv", self.queue, "--follow")
        self.wait_for("consumers", 1)
        self.shmq("rm", self.queue, status=FAILED)
        self.shmq("rm", self.queue, "--force")
        _, errors = receiver.communicate(timeout=60)
        self.assertEqual(receiver.returncode, FAILED)
        self.assertIn(b"queue removed", errors)

    def test_rm_tells_a_sender_that_waits_for_room(self) -> None:
        self.create("--capacity", "64")
        sender = self.start("send", self.queue, stdin=subprocess.PIPE)
        sender.stdin.write(b"x\n" * 1000)
        sender.stdin.flush()
        wait_until(lambda: self.info()["ready"] >= 60, "a full queue")
        self.shmq("rm", self.queue, "--force")
        _, errors = sender.communicate(timeout=60)
        self.assertEqual(sender.returncode, FAILED)
        self.assertIn(b"queue removed", errors)

    def test_purge(self) -> None:
        self.create()
        self.assertEqual(self.json("purge", self.queue), {"name": self.queue, "purged": 0})
        self.send("a", "b", "c")
        self.assertEqual(self.shmq("purge", self.queue).stdout, b"purged 3 messages\n")
        self.assert_counts(ready=0, purged=3, dropped=0)
        self.recv(status=NOTHING)
        self.send("d")
        self.assertEqual(self.recv(), b"d\n")


class PeekTest(CliTest):
    def test_peek_disturbs_nothing(self) -> None:
        self.create()
        self.send("first", "second", "third")
        self.shmq("recv", self.queue, "-n", 1, "--exec", "false", status=FAILED)
        before = self.info()
        for options in ((), ("--json",), ("--hex",), ("--raw",), ("-n", 2)):
            self.shmq("peek", self.queue, *options)
        self.assertEqual(self.info(), before)
        peeked = [message["content"] for message in self.json("peek", self.queue)]
        self.assertEqual(peeked, ["first", "second", "third"])
        self.assertEqual(self.recv(), b"first\nsecond\nthird\n")

    def test_json(self) -> None:
        self.create()
        self.shmq("send", self.queue, "--null", input="grün\nx\0".encode() + b"\xff\xfe\0")
        self.shmq("recv", self.queue, "-n", 1, "--exec", "false", status=FAILED)
        first, second = self.json("peek", self.queue)
        self.assertEqual((first["encoding"], first["content"]), ("utf-8", "grün\nx"))
        self.assertEqual((first["state"], first["deliveries"]), ("returned", 1))
        self.assertEqual((second["encoding"], second["content"]), ("base64", "//4="))
        self.assertEqual((second["state"], second["deliveries"]), ("ready", 0))
        self.assertLess(first["sequence"], second["sequence"])
        self.assertEqual((first["size"], second["size"]), (7, 2))
        self.assertGreaterEqual(first["age_ns"], 0)

    def test_text_is_safe_for_terminals_unless_raw(self) -> None:
        self.create()
        self.send("\x1b[31mred\a")
        table = self.shmq("peek", self.queue).stdout
        self.assertIn(rb"\x1b[31mred\x07", table)
        self.assertNotIn(b"\x1b", table)
        self.assertEqual(self.shmq("peek", self.queue, "--raw").stdout, b"\x1b[31mred\a\n")
        self.assertIn(b"1b 5b 33 31 6d 72 65 64  07", self.shmq("peek", self.queue, "--hex").stdout)

    def test_count_and_large_messages(self) -> None:
        self.create()
        big = "b" * 100_000
        self.shmq("send", self.queue, "--file", "-", input=big.encode())
        self.send(*(str(i) for i in range(20)))
        self.assertEqual(len(self.json("peek", self.queue)), 10)
        self.assertEqual(len(self.json("peek", self.queue, "-n", "100")), 21)
        self.assertEqual(self.json("peek", self.queue, "-n", "1")[0]["content"], big)
        self.assertLess(max(map(len, self.shmq("peek", self.queue).stdout.splitlines())), 400)

    def test_nothing_there(self) -> None:
        self.create()
        self.assertEqual(self.shmq("peek", self.queue, status=NOTHING).stdout, b"")
        self.assertEqual(self.json("peek", self.queue, status=NOTHING), [])


class PendingTest(CliTest):
    def test_names_each_holder(self) -> None:
        self.create("--lease", "60s")
        self.send("a", "b")
        self.assertEqual(self.json("pending", self.queue), [])
        note = Path(self.directory.name) / "command"
        holder = self.start("recv", self.queue, "-n", 1, "--exec",
                            f"echo $$ > {note}; exec sleep 1000")
        command = int(wait_until(lambda: note.exists() and note.read_text(), "the command's start"))
        self.addCleanup(os.kill, command, signal.SIGKILL)  # it outlives its consumer
        (message,) = self.json("pending", self.queue)
        self.assertEqual(message["pid"], holder.pid)
        self.assertEqual(message["executable"], os.path.realpath(BIN_DIR / "shmq"))
        self.assertEqual((message["uid"], message["deliveries"]), (os.getuid(), 1))
        self.assertIn(message["process_state"], "RS")
        self.assertGreater(message["age_ns"], 0)
        self.assertEqual(message["size"], 1)
        holder.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(holder.pid) == "T", "a stopped consumer")
        self.assertEqual(self.json("pending", self.queue)[0]["process_state"], "T")
        row = self.shmq("pending", self.queue).stdout.decode().splitlines()[1].split()
        self.assertEqual(row[:5], [str(message["sequence"]), "leased", str(holder.pid),
                                   str(os.getuid()), "T"])
        holder.kill()
        self.wait_for("returned", 1)
        self.assertEqual(self.json("pending", self.queue), [])


class ExecTest(CliTest):
    def test_acks_what_succeeds_and_gives_back_what_fails(self) -> None:
        self.create()
        self.send("good 1", "bad", "good 2")
        done = self.shmq("recv", self.queue, "--exec", "read -r m; echo got $m; test \"$m\" != bad",
                         status=FAILED)
        self.assertEqual(done.stdout, b"got good 1\ngot bad\ngot good 2\n")
        self.assertIn("exit status 1", done.stderr.decode())
        self.wait_for("returned", 1)
        self.assert_counts(ready=0, leased=0, acked=2)
        self.assertEqual(self.recv(), b"bad\n")

    def test_a_status_that_rejects_is_no_failure_and_dead_letters_at_once(self) -> None:
        self.create()
        self.send("good", "poison", "good too")
        self.shmq("recv", self.queue, "--exec", "read -r m; test \"$m\" != poison || exit 65",
                  "--reject-on", 65)
        self.wait_for("dead_lettered", 1)
        self.assert_counts(ready=0, leased=0, returned=0, acked=2, delivered=3)
        self.assertEqual(self.shmq("recv", f"{self.queue}.dlq").stdout, b"poison\n")
        # Another status gives back, and a signal of that number is none.
        for command, status in (("exit 64", FAILED), ("kill -9 $$", FAILED), ("exit 9", DONE)):
            self.send("m")
            self.shmq("recv", self.queue, "-n", 1, "--exec", command, "--reject-on", 9,
                      status=status)
            if status != DONE:
                self.assertEqual(self.recv(), b"m\n")
        self.wait_for("dead_lettered", 2)
        for wrong in ("0", "256", "x"):
            self.shmq("recv", self.queue, "--exec", "true", "--reject-on", wrong, status=USAGE)
        self.shmq("recv", self.queue, "--reject-on", 1, status=USAGE)

    def test_a_count_counts_attempts(self) -> None:
        self.create()
        self.send("bad", "next")
        done = self.shmq("recv", self.queue, "-n", "3", "--exec", "cat; echo; false", status=FAILED)
        self.assertEqual(done.stdout, b"bad\n" * 3)
        self.wait_for("returned", 1)
        self.assert_counts(ready=1, acked=0, delivered=3)

    def test_feeds_the_bytes_alone(self) -> None:
        self.create("--max-message", "4MiB")
        content = bytes(range(256)) * 8192
        self.shmq("send", self.queue, "--file", "-", input=content)
        self.assertEqual(self.recv("--exec", "cat"), content)
        self.send("")
        self.assertEqual(self.recv("--exec", "wc -c").strip(), b"0")

    def test_a_command_need_not_read(self) -> None:
        self.create("--max-message", "4MiB")
        self.shmq("send", self.queue, "--file", "-", input=b"x" * 4_000_000)
        self.recv("--exec", "true")
        self.assert_counts(acked=1)

    def test_the_command_knows_its_message(self) -> None:
        self.create()
        self.send("m")
        out = self.recv("--exec", "echo $SHMQ_QUEUE $SHMQ_DELIVERIES")
        self.assertEqual(out.decode(), f"{self.queue} 1\n")

    def test_renews_the_lease_while_the_command_runs(self) -> None:
        self.create("--lease", "300ms")
        self.send("m")
        worker = self.start("recv", self.queue, "-n", 1, "--exec", "sleep 1.5")
        self.wait_for("leased", 1)
        self.recv("--timeout", "1s", status=NOTHING)
        worker.communicate(timeout=60)
        self.assertEqual(worker.returncode, DONE)
        self.assert_counts(acked=1, expired=0, redelivered=0)

    def test_follow_goes_on_after_failures_until_a_signal(self) -> None:
        self.create()
        marker = f"{self.directory.name}/{self.queue}"
        worker = self.start("recv", self.queue, "--follow", "--exec",
                            f"test -e {marker} || {{ touch {marker}; exit 1; }}")
        self.send("m")
        self.wait_for("acked", 1)
        self.assert_counts(redelivered=1)
        worker.terminate()
        worker.communicate(timeout=60)
        self.assertEqual(worker.returncode, DONE)

    def test_a_signal_lets_the_command_finish(self) -> None:
        self.create()
        self.send("m")
        marker = f"{self.directory.name}/{self.queue}"
        worker = self.start("recv", self.queue, "--follow", "--exec",
                            f"touch {marker}; sleep 0.5")
        wait_until(lambda: os.path.exists(marker), "the command's start")
        worker.terminate()
        worker.communicate(timeout=60)
        self.assertEqual(worker.returncode, DONE)
        self.assert_counts(acked=1, leased=0)

    def test_a_killed_command_is_a_failed_one(self) -> None:
        self.create()
        self.send("m")
        done = self.shmq("recv", self.queue, "--exec", "kill -9 $$", status=FAILED)
        self.assertIn("signal 9", done.stderr.decode())
        self.wait_for("returned", 1)

    def test_a_failing_message_with_a_timeout_is_tried_once(self) -> None:
        self.create()
        self.send("m")
        started = time.monotonic()
        done = self.shmq("recv", self.queue, "--timeout", "300ms", "--exec", "echo x; false",
                         status=FAILED)
        self.assertGreaterEqual(time.monotonic() - started, 0.3)
        self.assertEqual(done.stdout, b"x\n")
        self.wait_for("returned", 1)


if __name__ == "__main__":
    main()
