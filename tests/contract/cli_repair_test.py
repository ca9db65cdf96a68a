#!/usr/bin/env python3
"""dump and audit, of a living, hung and dead daemon; doctor; export and import; bench."""

import json
import mmap
import os
import signal
import subprocess
import unittest
from pathlib import Path

from cli_support import (BIN_DIR, DONE, FAILED, NO_DAEMON, NOTHING, USAGE, CliTest, main, state_of,
                         wait_until)


def ring_of(pid: int, identity: str) -> Path:
    """The descriptor of a process that is the ring of the queue of that identity."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(entry).startswith("/memfd:shmq-ring"):
            with open(entry, "rb") as file:
                if file.read(48)[32:48].hex() == identity:
                    return entry
    raise AssertionError(f"process {pid} has no ring {identity}")


class DumpTest(CliTest):
    def dump(self, *options: str) -> dict:
        return self.json("dump", self.queue, *options)

    def test_through_the_daemon(self) -> None:
        self.create()
        self.send("a", "b" * 5000)
        dump = self.dump()
        self.assertEqual((dump["name"], dump["through"]), (self.queue, "daemon"))
        self.assertEqual(dump["header"]["capacity"], 1024)
        self.assertEqual([(slot["state"], slot["sequence"], slot["length"], slot["block"] is None)
                          for slot in dump["slots"]],
                         [("ready", 0, 1, True), ("ready", 1, 5000, False)])
        self.assertEqual(len(self.dump("--all")["slots"]), 1024)
        text = self.shmq("dump", self.queue).stdout.decode()
        self.assertRegex(text, r"(?m)^front +1 +ready +0 +0 +0 +1 +5000 ")

    def test_through_the_keeper_and_a_client(self) -> None:
        self.create()
        self.send("a", "b")
        holder = self.start("recv", self.queue, "-n", 1, "--exec", "exec sleep 30 >&- 2>&-")
        self.wait_for("leased", 1)
        for pid in (self.daemon.pid, holder.pid):
            dump = self.dump("--pid", str(pid))
            self.assertEqual(dump["through"], f"pid {pid}")
            self.assertEqual([slot["state"] for slot in dump["slots"]], ["leased", "ready"])
            self.assertEqual(dump["participants"][0]["pid"], holder.pid)
            self.assertTrue(self.json("audit", self.queue, "--pid", pid)[0]["sound"])

    def test_who_sleeps(self) -> None:
        self.create()
        self.start("recv", self.queue, "--follow")
        for sent in range(3):  # a word that counts the woken ones, too, would go up
            wait_until(lambda: self.dump()["header"]["items_waiters"] == 1, "it sleeps")
            self.send(str(sent))
            self.wait_for("acked", sent + 1)

    def test_nobody_there(self) -> None:
        self.create()
        self.shmq("dump", "nowhere-at-all", status=FAILED)
        self.shmq("dump", self.queue, "--pid", os.getpid(), status=NOTHING)
        self.shmq("dump", status=USAGE)


class HungDaemonTest(CliTest):
    def test_a_daemon_that_hangs(self) -> None:
        self.create()
        self.send("a")
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        wait_until(lambda: state_of(pid) == "T", "stopped")
        done = self.shmq("audit", self.queue, status=NO_DAEMON)
        self.assertRegex(done.stderr.decode(), r"process \d+ \(shmq.*\) holds it: --pid \d+")
        for holder in (pid, self.daemon.pid):
            (found,) = self.json("audit", self.queue, "--pid", holder)
            self.assertEqual((found["sound"], found["broken"]), (True, []))
        findings = self.json("doctor", status=FAILED)
        self.assertIn(("daemon", "broken"), [(each["check"], each["health"]) for each in findings])


class AuditTest(CliTest):
    def test_all_queues_are_sound(self) -> None:
        self.create()
        self.send("a")
        self.assertTrue(all(queue["sound"] for queue in self.json("audit", "--idle")))
        self.assertIn(f"{self.queue}: sound", self.shmq("audit").stdout.decode())

    def test_damage_is_found_and_named(self) -> None:
        self.create()
        self.send("a", "b")
        dump = self.json("dump", self.queue)
        ring = ring_of(self.daemon.pid, dump["identity"])
        size = dump["header"]["segment_bytes"]
        with open(ring, "r+b") as file, mmap.mmap(file.fileno(), size) as memory:
            # The slots are the last part of a queue without a journal.
            slot = size - 1024 * 64 + 64
            memory[slot + 8:slot + 16] = (7).to_bytes(8, "little")
        (found,) = self.json("audit", self.queue, status=FAILED)
        self.assertFalse(found["sound"])
        self.assertIn("sequence 7 is not this slot's", found["broken"][0])
        text = self.shmq("audit", self.queue, "--pid", self.daemon.pid, status=FAILED)
        self.assertIn(f"{self.queue}: 1 invariants broken", text.stdout.decode())
        self.assertEqual(self.json("dump", self.queue)["slots"][1]["sequence"], 7)
        self.shmq("rm", self.queue, "--force")


class DoctorTest(CliTest):
    def test_what_it_looks_at(self) -> None:
        self.create()
        findings = {each["check"]: each for each in self.json("doctor")}
        self.assertLessEqual({"kernel", "futex_waitv", "membarrier", "memfd", "pidfd", "io_uring",
                              "open files", "locked memory", "huge pages", "processors", "clock",
                              "socket", "daemons", "daemon", "state directory", "cgroup memory",
                              "queues"}, set(findings))
        self.assertEqual(findings["daemon"]["health"], "good")
        self.assertIn(f"pid {self.daemon_pid()}", findings["daemon"]["text"])
        for finding in findings.values():
            if finding["health"] in ("warning", "broken"):
                self.assertTrue(finding["remedy"], finding)
        self.assertRegex(self.shmq("doctor").stdout.decode(), r"(?m)^good +memfd +is there$")

    def test_few_open_files_are_named_with_the_remedy(self) -> None:
        done = self.shmq("doctor", "--json", status=FAILED,
                         preexec_fn=lambda: __import__("resource").setrlimit(
                             __import__("resource").RLIMIT_NOFILE, (64, 64)))
        own = [each for each in json.loads(done.stdout) if each["check"] == "open files"][0]
        self.assertEqual(own["health"], "broken")
        self.assertIn("ulimit -n", own["remedy"])

    def test_without_a_daemon(self) -> None:
        environment = {**os.environ, "SHMQ_SOCKET": f"{self.directory.name}/nobody"}
        done = subprocess.run([BIN_DIR / "shmq", "doctor", "--json"], env=environment, check=False,
                              capture_output=True)
        findings = {each["check"]: each for each in json.loads(done.stdout)}
        self.assertEqual(findings["daemon"]["health"], "note")
        self.assertIn("not there", findings["socket"]["text"])
        self.assertEqual(done.returncode, DONE, done.stderr)


class DefinitionsTest(CliTest):
    def test_there_and_back(self) -> None:
        other = f"{self.queue}.two"
        self.create("--capacity", "4096", "--lease", "1500ms", "--overflow", "spill",
                    "--spill-limit", "64MiB", "--retry-delay", "100ms..2s", "--mode", "750")
        self.shmq("create", other, "--no-dead-letter", "--exclusive-consumer")
        before = [self.json("info", name) for name in (self.queue, other)]
        text = self.shmq("export", self.queue, other).stdout
        exported = {queue["name"]: queue for queue in json.loads(text)["queues"]}
        self.assertEqual((exported[self.queue]["lease"], exported[self.queue]["spill_limit"]),
                         ("1500ms", "64MiB"))
        self.assertEqual(self.results(text), ["there", "there"])
        for name in (self.queue, other):
            self.shmq("rm", name, "--force")
        self.assertEqual(self.results(text, "--dry-run"), ["would be made", "would be made"])
        self.shmq("info", other, status=FAILED)
        self.assertEqual(self.results(text), ["made", "made"])
        self.assertEqual(self.results(text), ["there", "there"])
        after = [self.json("info", name) for name in (self.queue, other)]
        self.assertEqual(before, after)

    @unittest.skipUnless(os.getuid() == 0, "only root gives queues away")
    def test_owner_and_group_go_along(self) -> None:
        self.create("--mode", "750", "--group", "daemon")
        self.shmq("edit", self.queue, "--owner", "nobody")
        text = self.shmq("export", self.queue).stdout
        exported = json.loads(text)["queues"][0]
        self.assertEqual((exported["owner"], exported["group"]), ("nobody", "daemon"))
        before = self.info()
        self.shmq("rm", self.queue)
        self.assertEqual(self.results(text), ["made"])
        self.assertEqual(self.info(), before)
        self.shmq("edit", self.queue, "--owner", "root")
        done = self.shmq("import", "-", status=FAILED, input=text)
        self.assertIn("owner is root, not nobody", done.stderr.decode())
        exported["owner"] = "no-such-user"
        done = self.shmq("import", "-", status=FAILED, input=json.dumps([exported]).encode())
        self.assertIn("no such user", done.stderr.decode())

    def results(self, text: bytes, *options: str) -> list[str]:
        done = self.shmq("import", "-", "--json", *options, input=text)
        return [each["result"] for each in json.loads(done.stdout)]

    def test_a_conflict_names_the_option_and_makes_nothing(self) -> None:
        self.create("--capacity", "128")
        new = f"{self.queue}.new"
        text = json.dumps({"queues": [{"name": new}, {"name": self.queue, "capacity": 256}]})
        done = self.shmq("import", "-", status=FAILED, input=text.encode())
        self.assertIn(f"queue '{self.queue}': capacity is 128, not 256", done.stderr.decode())
        self.shmq("info", new, status=FAILED)
        # What is not said is as it is.
        text = json.dumps([{"name": self.queue, "overflow": "block"}])
        self.shmq("import", "-", input=text.encode())

    def test_what_makes_no_sense(self) -> None:
        for text, why in (("{", "not JSON"), ("{}", "needs"), ('[{"capacity": 3}]', "needs a name"),
                          ('[{"name": "/"}]', "queues[0]"),
                          ('[{"name": "x", "capactiy": 64}]', "did you mean 'capacity'?"),
                          ('[{"name": "x", "lease": "soon"}]', "lease of queue 'x'"),
                          ('[{"name": "x", "capacity": -1}]', "whole number"),
                          ('[{"name": "x", "overflow": "burst"}]', "block, reject")):
            done = self.shmq("import", "-", status=FAILED, input=text.encode())
            self.assertIn(why, done.stderr.decode(), text)
        self.shmq("import", "/nowhere/at/all", status=FAILED)
        self.shmq("export", "nowhere-at-all", status=FAILED)


class BenchTest(CliTest):
    def bench(self, *options: str) -> dict:
        return self.json("bench", "--time", "200ms", *options)

    def test_all_that_is_sent_is_received(self) -> None:
        for options in ([], ["--producers", "2", "--consumers", "2", "--size", "4KiB"],
                        ["--batch", "16", "--ack", "batch"], ["--ack", "cumulative"],
                        ["--rate", "2000"], ["--durability", "logged"]):
            result = self.bench(*options)
            self.assertGreater(result["received"], 0, options)
            self.assertEqual(result["sent"], result["received"], options)
            latency = result["latency"]
            self.assertLessEqual(latency["p50_ns"], latency["p99_ns"])
            self.assertLessEqual(latency["p99_ns"], latency["max_ns"])
            self.assertEqual(result["loop"], "open" if "--rate" in options else "closed")
        self.assertEqual([name for name in self.shmq("ls", "--names").stdout.decode().split()
                          if "bench" in name], [], "its own queue is removed")

    def test_a_named_queue_stays(self) -> None:
        self.create()
        self.assertEqual(self.bench(self.queue)["queue"], self.queue)
        self.assertEqual(self.info()["ready"], 0)
        self.shmq("bench", "nowhere-at-all", status=FAILED)

    def test_for_people_and_wrong_usage(self) -> None:
        text = self.shmq("bench", "--time", "100ms").stdout.decode()
        self.assertRegex(text, r"(?m)^rate +[\d,]+/s, ")
        self.shmq("bench", "--size", "4", status=USAGE)
        self.shmq("bench", "--ack", "cumulative", "--consumers", "2", status=USAGE)
        self.shmq("bench", "--ack", "perhaps", status=USAGE)


if __name__ == "__main__":
    main()
