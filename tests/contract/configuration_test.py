#!/usr/bin/env python3
"""shmqd.toml: what is taken, refused and printed, what a reload does, and queues declared there."""

import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from cli_support import BIN_DIR, DONE, FAILED, ROOT, WATCHDOG_SECONDS, CliTest, main, wait_until


class FileTest(unittest.TestCase):
    """The program alone, with files."""

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="shmq-config-")
        self.addCleanup(self.directory.cleanup)
        self.file = Path(self.directory.name) / "shmqd.toml"

    def shmqd(self, *words: str, status: int = 0, **environment: str) \
            -> subprocess.CompletedProcess:
        done = subprocess.run([BIN_DIR / "shmqd", *words], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL, timeout=WATCHDOG_SECONDS,
                              env=os.environ | environment)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def complaints(self, text: str) -> str:
        self.file.write_text(text)
        return self.shmqd("--config", str(self.file), "--check-config", status=1).stderr

    def check(self, text: str, *expected: str) -> None:
        complaints = self.complaints(text)
        for one in expected:
            self.assertIn(f"shmqd: {self.file}:{one}", complaints)
        self.assertEqual(len(complaints.splitlines()), len(expected), complaints)

    def test_what_is_right_is_taken(self) -> None:
        self.file.write_text("""
            log_level = "warn"
            idle_exit = "90s"
            [limits]
            queues = 7
            memory = "3GiB"
            [defaults]
            lease = 2.5
            [queue."a/b"]
            mode = 0o751
            overflow = "drop-oldest"
            dead_letter = ""
            """)
        self.assertEqual(self.shmqd("--config", str(self.file), "--check-config").stderr, "")
        printed = self.shmqd("--config", str(self.file), "--print-config").stdout
        for line in ('log_level = "warn"', 'idle_exit = "90s"', "queues = 7", 'memory = "3GiB"',
                     'lease = "2500ms"', '[queue."a/b"]', 'mode = "751"',
                     'overflow = "drop-oldest"', 'dead_letter = ""', "sessions = 4096"):
            self.assertRegex(printed, rf"(?m)^{re.escape(line)}$")

    def test_what_is_printed_can_be_read_and_says_the_same(self) -> None:
        for text in ("", 'socket = "/a \\"b\\""\n[queue.x]\nowner = 0\nlease = "1h"\n'):
            self.file.write_text(text)
            printed = self.shmqd("--config", str(self.file), "--print-config").stdout
            self.file.write_text(printed)
            again = self.shmqd("--config", str(self.file), "--print-config").stdout
            self.assertEqual(again, printed)

    def test_unknown_keys_are_refused_with_the_nearest_known_one(self) -> None:
        self.check('\nlog_levle = "info"\n', '2: unknown key "log_levle"; did you mean "log_level"?')
        self.check("[limits]\nqueue = 1\n", '2: unknown key "queue" in [limits]; did you mean '
                   '"queues"?')
        self.check("[queue.a]\n\nmax-message = 1\n",
                   '3: unknown key "max-message" of a; did you mean "max_message"?')
        self.check("[limit]\nqueues = 1\n", '1: unknown key "limit"; did you mean "limits"?')
        self.check("zzzzzz = 1\n", '1: unknown key "zzzzzz"; see shmqd.toml(5)')
        self.check("[defaults]\nowner = 1\n", '2: unknown key "owner" of defaults')
        self.check("[queue.a.b]\nlease = 1\n", '1: unknown key "b": a queue\'s name with dots')

    def test_wrong_values_are_refused_with_line_and_remedy(self) -> None:
        self.check("keeper = 1\n", "1: keeper: is a number; it has to be true or false")
        self.check("[limits]\nmemory = true\n",
                   '2: memory: is true or false; it has to be a size: write "64MiB"')
        self.check("[defaults]\nlease = \"soon\"\n",
                   '2: lease: "soon" has to be a time: write "1.5s"')
        self.check('log_level = "loud"\n', '1: log_level: "loud" has to be one of "trace"')
        self.check("limits = 3\n", "1: limits is a table: write [limits]")
        self.check('[queue."a b"]\n', '1: queue "a b": a queue\'s name has letters')
        self.check("[queue.a]\ncapacity = -1\n", "2: capacity: is a number; it has to be a number")
        self.check('[queue.a]\nmode = "999"\n', '2: mode: "999" has to be a mode')
        self.check('[queue.a]\ngroup = "no-such-group"\n', '2: group: "no-such-group" is no group')
        self.check("a = = 1\n", "1: this is not TOML")

    def test_what_does_not_go_together_is_refused_where_it_was_said(self) -> None:
        self.check("[queue.a]\nlease = \"1s\"\ncapacity = 1000\n", '3: queue "a": capacity: ')
        self.check('[queue.a]\noverflow = "block"\ndurability = "durable"\n',
                   '2: queue "a": overflow: block and durability durable exclude each other')
        self.check('[defaults]\nretry_delay_max = "1s"\n', "2: [defaults]: retry_delay_max: ")
        self.check("[queue.a]\n[queue.b]\nlease = \"1ms\"\n", '3: queue "b": lease: ')

    def test_drop_ins_come_after_in_the_order_of_their_names(self) -> None:
        self.file.write_text('log_level = "warn"\n[queue.a]\nlease = "1s"\ncapacity = 64\n')
        drop_ins = Path(f"{self.file}.d")
        drop_ins.mkdir()
        (drop_ins / "20-b.toml").write_text('log_level = "error"\n')
        (drop_ins / "10-a.toml").write_text('log_level = "debug"\n[queue.a]\nlease = "2s"\n')
        (drop_ins / "30-c.other").write_text("not looked at")
        printed = self.shmqd("--config", str(self.file), "--print-config").stdout
        self.assertIn('log_level = "error"', printed)
        self.assertIn('[queue."a"]\nlease = "2s"\ncapacity = 64\n', printed)
        (drop_ins / "10-a.toml").write_text("\nno = 1\n")
        done = self.shmqd("--config", str(self.file), "--check-config", status=1)
        self.assertIn(f"{drop_ins}/10-a.toml:2: unknown key", done.stderr)

    def test_where_it_is_looked_for_and_who_has_the_last_word(self) -> None:
        self.file.write_text('log_level = "warn"\n')
        where = {"CONFIGURATION_DIRECTORY": self.directory.name}
        printed = self.shmqd("--print-config", **where).stdout
        self.assertIn('log_level = "warn"', printed)
        printed = self.shmqd("--log-level", "trace", "--print-config", **where).stdout
        self.assertIn('log_level = "trace"', printed)
        done = self.shmqd("--config", "/nowhere/at-all", "--check-config", status=1)
        self.assertIn("/nowhere/at-all: cannot be read: No such file", done.stderr)

    def test_a_bad_file_keeps_a_first_daemon_from_starting(self) -> None:
        self.file.write_text("no = 1\n")
        done = self.shmqd("--config", str(self.file), "--socket", f"{self.directory.name}/s",
                          status=1)
        self.assertIn(f'{self.file}:1: unknown key "no"', done.stderr)

    def test_the_manual_has_every_key(self) -> None:
        page = (ROOT / "docs/man/shmqd.toml.5").read_text().replace(r"\-", "-")
        printed = self.shmqd("--config", "/dev/null", "--print-config").stdout
        keys = set(re.findall(r"(?m)^#?([a-z_]+) = ", printed)) | {"owner"}
        self.assertGreater(len(keys), 25)
        described = set(re.findall(r"(?m)^\.TP\n\.B ([a-z_]+)$", page))
        self.assertEqual(keys, described)


class ReloadTest(CliTest):
    """A daemon with a configuration."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.directory = tempfile.TemporaryDirectory(prefix="shmq-cli-")
        cls.socket = f"{cls.directory.name}/socket"
        cls.file = Path(cls.directory.name) / "shmqd.toml"
        cls.file.write_text(f"""
            socket = "{cls.socket}"
            [defaults]
            lease = "77s"
            [queue."declared/first"]
            capacity = 128
            mode = "750"
            """)
        cls.words = [BIN_DIR / "shmqd", "--config", str(cls.file)]
        cls.start_daemon()

    @classmethod
    def start_daemon(cls) -> None:
        with open(f"{cls.directory.name}/log", "ab") as log:
            cls.daemon = subprocess.Popen(cls.words, stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL)
        wait_until(lambda: cls.daemon.poll() is not None or os.path.exists(cls.socket), "a socket")

    def log(self) -> str:
        return Path(f"{self.directory.name}/log").read_text()

    def reload(self, text: str) -> str:
        """What the daemon logs of it."""
        before = len(self.log())
        self.file.write_text(text)
        os.kill(self.daemon_pid(), signal.SIGHUP)
        wait_until(lambda: re.search(r"configuration reloaded|old one holds", self.log()[before:]),
                   "the end of a reload")
        return self.log()[before:]

    def test_declared_queues_and_defaults(self) -> None:
        info = self.json("info", "declared/first")
        self.assertEqual((info["capacity"], info["mode"], info["lease_ns"]),
                         (128, "0750", 77_000_000_000))
        self.create("--capacity", "64")
        self.assertEqual(self.info()["lease_ns"], 77_000_000_000)

        head = f'socket = "{self.socket}"\n'
        self.shmq("send", "declared/first", "kept")
        told = self.reload(head + '[queue."declared/first"]\ncapacity = 256\nlease = "5s"\n'
                           '[queue.later]\noverflow = "reject"\n')
        self.assertIn("queue declared/first of the configuration: capacity is 128 and stays so, "
                      "not 256", told)
        info = self.json("info", "declared/first")
        self.assertEqual((info["capacity"], info["lease_ns"], info["ready"]),
                         (128, 5_000_000_000, 1))
        self.assertEqual(self.json("info", "later")["overflow"], "reject")

        told = self.reload(head + "[queue.third]\n[limits]\nquueues = 1\n")
        self.assertIn(f'{self.file}:4: unknown key "quueues" in [limits]', told)
        self.assertIn("the old one holds", told)
        self.shmq("info", "third", status=FAILED)

        told = self.reload(head + "[limits]\nqueues = 0\n")
        done = self.shmq("create", "one-too-many", status=FAILED)
        self.assertIn("0", done.stderr.decode())
        self.shmq("info", "later", status=DONE)  # no longer declared, and not removed

    def test_a_successor_starts_with_a_bad_file(self) -> None:
        self.create()
        self.shmq("send", self.queue, "kept")
        good = self.file.read_text()
        self.file.write_text(f"no = 1\n{good}")
        os.kill(self.daemon_pid(), signal.SIGKILL)
        # Its socket was named in the file alone: the keeper holds it, and clients wait for it.
        self.assertEqual(self.recv(), b"kept\n")
        self.assertIn("the queues there are come first", self.log())
        self.reload(good)


if __name__ == "__main__":
    main()
