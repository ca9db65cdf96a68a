#!/usr/bin/env python3
"""Bad input to the CLI: each has its exit status and one clear line on standard error."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from cli_support import (BIN_DIR, DONE, FAILED, NO_DAEMON, NOTHING, USAGE, WATCHDOG_SECONDS,
                         CliTest, main, wait_until)

NOBODY = 65534


class UsageTest(CliTest):
    def refuse(self, *words: object, says: str = "") -> str:
        text = self.shmq(*words, status=USAGE).stderr.decode()
        self.assertEqual(len(text.splitlines()), 1, text)
        self.assertIn(says, text)
        return text

    def test_verbs(self) -> None:
        self.refuse("sned", "q", "m", says="did you mean 'shmq send'?")
        self.refuse("quetzalcoatl", says="shmq --help")
        self.refuse("\x1b[31m", says=r"\x1b[31m")
        self.refuse("[ls]", says="no such verb")
        self.refuse(says="--help")

    def test_options(self) -> None:
        self.refuse("ls", "--jsno", says="--jsno")
        self.refuse("ls", "extra", says="extra")
        self.refuse("info", says="NAME")
        self.refuse("recv", "q", "--follow", "--timeout", "1s", says="--timeout")
        self.refuse("recv", "q", "--raw", "--null")
        self.refuse("peek", "q", "--json", "--hex")
        self.refuse("send", "q", "--file", "f", "m", says="choose one")
        self.refuse("send", "q", "--null", "m", says="choose one")
        self.refuse("send", "q", "--file", "f", "--null")
        self.refuse("send", "q", "--fiel", "f", says="--fiel")
        self.refuse("create", "q", "--overflow", "explode", says="block, reject, drop-oldest or spill")
        self.refuse("create", "q", "--overflow", "spil", says="block, reject, drop-oldest or spill")
        self.refuse("create", "q", "--when-full", "drop", says="block or reject")
        self.refuse("create", "q", "--durability", "synced", says="accepted, logged or durable")
        self.refuse("send", "q", "--confirm", "synced", "m", says="accepted, logged or durable")
        self.refuse("create", "q", "--group", "no such group", says="no such group")

    def test_names(self) -> None:
        for name in ("", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/./b", "x" * 256, "a b",
                     "a\nb", "\x1b[31m", "grün", "a\\b", "a;b", "$(id)", "*", "a:b", b"\xff"):
            for verb in ("create", "info", "send", "recv", "rm", "purge", "peek", "pending"):
                self.assertNotIn("\x1b", self.refuse(verb, name, says="NAME"))

    def test_numbers(self) -> None:
        for option in ("--capacity", "--slot-size", "--max-message", "--pool", "--in-flight",
                       "--spill-limit"):
            for value in ("0", "-1", "x", "", "1.5", "99999999999999999999"):
                self.refuse("create", "q", f"{option}={value}", says=option)
        for value in ("0", "-1s", "1x", "", "5 minutes"):
            self.refuse("create", "q", f"--lease={value}", says="--lease")
        for value in ("0", "888", "-7", "7777", "rw"):
            self.refuse("create", "q", f"--mode={value}", says="--mode")
        self.refuse("recv", "q", "-n", "0", says="--count")
        self.refuse("recv", "q", "--timeout", "soon", says="--timeout")

    def test_limits(self) -> None:
        self.refuse("create", "q", "--capacity", "1000", says="capacity")
        self.refuse("create", "q", "--capacity", "32", says="capacity")
        self.refuse("create", "q", "--capacity", "32M", says="capacity")
        self.refuse("create", "q", "--slot-size", "96", says="slot_size")
        self.refuse("create", "q", "--slot-size", "1024", says="slot_size")
        self.refuse("create", "q", "--slot-size", str((1 << 32) + 64), says="slot_size")
        self.refuse("create", "q", "--max-message", "513MiB", says="max_message")
        self.refuse("create", "q", "--pool", "2T", says="pool")
        self.refuse("create", "q", "--in-flight", "2M", says="in_flight")
        self.refuse("create", "q", "--lease", "1ms", says="lease")
        self.refuse("create", "q", "--lease", "8d", says="lease")
        self.refuse("create", "q", "--overflow", "drop-oldest", "--exclusive-consumer")
        for overflow in ("block", "reject", "drop-oldest"):
            for durability in ("logged", "durable"):
                self.refuse("create", "q", "--overflow", overflow, "--durability", durability,
                            says="spill")
        for words in (["--when-full", "reject"], ["--spill-limit", "1G"],
                      ["--overflow", "reject", "--spill-limit", "1G"],
                      ["--durability", "accepted", "--when-full", "reject"]):
            self.refuse("create", "q", *words, says="overflow spill")
        self.refuse("create", "q", "--overflow", "spill", "--spill-limit", "1000K",
                    says="2097152 bytes at least")
        self.refuse("create", "q", "--overflow", "spill", "--spill-limit", "64M", "--max-message",
                    "64M", says="134217728 bytes at least")
        self.assertEqual(self.json("ls"), [])


class UnknownTest(CliTest):
    def test_unknown_queue(self) -> None:
        for words in (("info", "none"), ("rm", "none"), ("purge", "none"), ("send", "none", "m"),
                      ("recv", "none"), ("peek", "none"), ("pending", "none")):
            done = self.shmq(*words, status=FAILED)
            self.assertIn("there is no queue 'none'; create it", done.stderr.decode())

    def test_an_exclusive_role_that_is_taken(self) -> None:
        self.create("--exclusive-consumer", "--exclusive-producer")
        self.start("recv", self.queue, "--follow")
        self.wait_for("consumers", 1)
        done = self.shmq("recv", self.queue, status=FAILED)
        self.assertIn("exclusive", done.stderr.decode())

    def test_output_that_cannot_be_written(self) -> None:
        self.create()
        self.send("m")
        for words in (("ls",), ("info", self.queue), ("status", "--json"), ("--help",),
                      ("peek", self.queue), ("version",)):
            with open("/dev/full", "wb") as full:
                self.shmq(*words, stdout=full, status=FAILED)


class NoDaemonTest(unittest.TestCase):
    def run_shmq(self, *words: object, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([BIN_DIR / "shmq", *map(str, words)], capture_output=True,
                              env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                              timeout=WATCHDOG_SECONDS, check=False)

    def test_a_named_socket_without_a_daemon(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            for words in (("status",), ("ls",), ("create", "q"), ("send", "q", "m"), ("recv", "q"),
                          ("info", "q"), ("rm", "q"), ("purge", "q"), ("peek", "q"),
                          ("pending", "q")):
                done = self.run_shmq(*words, "--socket", f"{directory}/socket")
                self.assertEqual(done.returncode, NO_DAEMON, done)
                self.assertRegex(done.stderr.decode(), r"^shmq: .*socket")
                self.assertEqual(done.stdout, b"")
            self.assertEqual(os.listdir(directory), [])

    def test_status_starts_none_and_others_do(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            for program in ("shmq", "shmqd"):
                shutil.copy(BIN_DIR / program, directory)
            # Root looks for the system's daemon first, so somebody else it must be.
            user = NOBODY if os.getuid() == 0 else os.getuid()
            runtime = Path(directory) / "runtime"
            runtime.mkdir(mode=0o700)
            if os.getuid() == 0:
                os.chmod(directory, 0o755)
                os.chown(runtime, user, user)
            environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime),
                           "XDG_STATE_HOME": str(runtime)}
            environment.pop("SHMQ_SOCKET", None)

            def run(*words: str) -> subprocess.CompletedProcess:
                identity = {"user": user, "group": user, "extra_groups": []} \
                    if os.getuid() == 0 else {}
                return subprocess.run([f"{directory}/shmq", *words], env=environment,
                                      capture_output=True, stdin=subprocess.DEVNULL, check=False,
                                      timeout=WATCHDOG_SECONDS, **identity)

            self.assertEqual(run("status").returncode, NO_DAEMON)
            self.assertEqual(run("ls", "--names").stdout, b"")
            status = run("status", "--json")
            self.assertEqual(status.returncode, DONE, status)
            daemon = json.loads(status.stdout)
            self.assertTrue(daemon["socket"].startswith(str(runtime)))
            os.kill(daemon["pid"], signal.SIGTERM)
            wait_until(lambda: run("status").returncode == NO_DAEMON, "the daemon's end")


@unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
class OtherUserTest(CliTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Somebody else must reach the program and the socket.
        os.chmod(cls.directory.name, 0o755)
        os.chmod(cls.socket, 0o666)
        cls.program = f"{cls.directory.name}/shmq"
        shutil.copy(BIN_DIR / "shmq", cls.program)

    def as_nobody(self, *words: object, status: int) -> subprocess.CompletedProcess:
        done = subprocess.run([self.program, *map(str, words), "--socket", self.socket],
                              capture_output=True, user=NOBODY, group=NOBODY, extra_groups=[],
                              stdin=subprocess.DEVNULL, timeout=WATCHDOG_SECONDS, check=False)
        self.assertEqual(done.returncode, status, done)
        return done

    def test_no_right_at_all(self) -> None:
        self.create()
        for verb in ("info", "rm", "purge", "send", "recv", "peek", "pending"):
            done = self.as_nobody(verb, self.queue, status=FAILED)
            self.assertRegex(done.stderr.decode(), rf"^shmq: .*{NOBODY}.*{self.queue}")
        self.assertNotIn(self.queue, self.as_nobody("ls", status=DONE).stdout.decode())

    def test_each_right_alone(self) -> None:
        self.create("--mode", "702")
        self.as_nobody("send", self.queue, "m", status=DONE)
        self.as_nobody("info", self.queue, status=DONE)
        for verb in ("recv", "peek", "purge", "rm"):
            self.as_nobody(verb, self.queue, status=FAILED)
        self.shmq("rm", self.queue, "--force")
        self.create("--mode", "701")
        self.send("m")
        self.as_nobody("peek", self.queue, status=DONE)
        self.as_nobody("send", self.queue, "m", status=FAILED)
        self.assertEqual(self.as_nobody("recv", self.queue, status=DONE).stdout, b"m\n")
        self.as_nobody("recv", self.queue, status=NOTHING)

    def test_own_queues_are_ones_own(self) -> None:
        self.as_nobody("create", self.queue, status=DONE)
        self.assertEqual(self.info()["owner"], NOBODY)
        self.as_nobody("rm", self.queue, status=DONE)


if __name__ == "__main__":
    main()
