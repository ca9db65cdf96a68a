"""A private daemon, and the CLI to talk to it, for the contract tests of the CLI."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
BIN_DIR = Path(os.environ.get("SHMQ_BIN_DIR") or os.environ.get("SHMQ_TEST_BIN_DIR")
               or ROOT / "build" / "release" / "bin")
ALL = bool(os.environ.get("SHMQ_TEST_ALL"))
# Zeros behind the last record of a log, which cost no disk: recovery looks at each of them.
HOLE_BYTES = (4096 if ALL else 512) << 20
# A watchdog against hanging, not a promise about speed.
WATCHDOG_SECONDS = 100

DONE, FAILED, USAGE, NOTHING, NO_DAEMON = range(5)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for a condition to become true, and returns its value."""
    deadline = time.monotonic() + WATCHDOG_SECONDS
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"this never came: {what}")
        time.sleep(0.01)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


class CliTest(unittest.TestCase):
    """Each class has a daemon of its own, each test a queue of its own: self.queue."""

    directory: tempfile.TemporaryDirectory
    socket: str
    daemon: subprocess.Popen
    daemon_options: tuple = ()

    @classmethod
    def setUpClass(cls) -> None:
        cls.directory = tempfile.TemporaryDirectory(prefix="shmq-cli-")
        cls.socket = f"{cls.directory.name}/socket"
        cls.start_daemon()

    @classmethod
    def start_daemon(cls) -> None:
        with open(f"{cls.directory.name}/log", "ab") as log:
            cls.daemon = subprocess.Popen([BIN_DIR / "shmqd", "--socket", cls.socket,
                                           *cls.daemon_options],
                                          stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(lambda: cls.daemon.poll() is not None or os.path.exists(cls.socket),
                   "the daemon's socket")
        if cls.daemon.poll() is not None:
            raise AssertionError("shmqd ended: " + Path(f"{cls.directory.name}/log").read_text())

    @classmethod
    def daemon_pid(cls) -> int:
        """Of the daemon; `daemon` is its keeper, which was started and ends both."""
        children = Path(f"/proc/{cls.daemon.pid}/task/{cls.daemon.pid}/children").read_text()
        return int(children)

    def end_everything(self) -> None:
        """SIGKILL for the daemon and its keeper: what they had in memory alone is gone."""
        daemon = self.daemon_pid()
        os.kill(self.daemon.pid, signal.SIGSTOP)  # lest it start another
        os.kill(daemon, signal.SIGKILL)
        self.daemon.kill()
        self.daemon.wait()
        wait_until(lambda: not os.path.exists(f"/proc/{daemon}"), "its end")

    def begin_anew(self) -> None:
        self.start_daemon()
        wait_until(lambda: self.shmq("status", status=None).returncode == 0, "an answer")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.daemon.terminate()
        status = cls.daemon.wait(WATCHDOG_SECONDS)
        log = Path(f"{cls.directory.name}/log").read_text()
        cls.directory.cleanup()
        if status != 0:
            raise AssertionError(f"shmqd ended with {status}: {log}")

    def setUp(self) -> None:
        self.queue = self._testMethodName

    def command(self, *words: Any) -> list[str | bytes]:
        given = [word if isinstance(word, bytes) else str(word) for word in words]
        socket = ["--socket", self.socket]
        # Global options may stand before the verb or behind it, but not behind `--`.
        return [str(BIN_DIR / "shmq"), *(socket + given if "--" in words else given + socket)]

    def shmq(self, *words: Any, status: int | None = DONE, **options: Any) \
            -> subprocess.CompletedProcess:
        """Runs the CLI to its end and checks its status (None: do not)."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run(self.command(*words), stderr=subprocess.PIPE, check=False,
                              timeout=WATCHDOG_SECONDS, **options)
        if status is not None:
            self.assertEqual(done.returncode, status,
                             f"{words}: {done.stdout!r} {done.stderr.decode()}")
        self.check_errors(words, done)
        return done

    def check_errors(self, words: Any, done: subprocess.CompletedProcess) -> None:
        """Every line on standard error begins `shmq: `, and a bad end has one (or is silent: 3)."""
        lines = done.stderr.decode().splitlines()
        for line in lines:
            self.assertRegex(line, r"^shmq: \S", words)
        if done.returncode not in (DONE, NOTHING):
            self.assertTrue(lines, f"{words} ended with {done.returncode} and said nothing")
        if done.returncode == DONE and "--exec" not in words:
            self.assertEqual(lines, [], words)

    def start(self, *words: Any, **options: Any) -> subprocess.Popen:
        """Starts the CLI; it is killed at the end of the test if it still runs."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(self.command(*words), **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        if process.stdin is not None and process.stdin.closed:
            process.stdin = None  # communicate() would flush it
        process.communicate()

    def create(self, *options: Any) -> None:
        self.shmq("create", self.queue, *options)

    def send(self, *messages: str) -> None:
        self.shmq("send", self.queue, *messages)

    def recv(self, *options: Any, status: int | None = DONE) -> bytes:
        return self.shmq("recv", self.queue, *options, status=status).stdout

    def json(self, *words: Any, status: int = DONE) -> Any:
        return json.loads(self.shmq(*words, "--json", status=status).stdout)

    def info(self) -> dict[str, Any]:
        return self.json("info", self.queue)

    def wait_for(self, field: str, value: int) -> None:
        wait_until(lambda: self.info()[field] == value, f"{self.queue}: {field} == {value}")

    def assert_counts(self, **counts: int) -> None:
        info = self.info()
        self.assertEqual({name: info[name] for name in counts}, counts)


def main() -> None:
    if not (BIN_DIR / "shmqd").exists() or not (BIN_DIR / "shmq").exists():
        print(f"no shmqd and shmq in {BIN_DIR}; build them, or set SHMQ_BIN_DIR")
        sys.exit(77)  # skipped, for ctest
    unittest.main(verbosity=2)
