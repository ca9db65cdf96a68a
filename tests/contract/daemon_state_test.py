#!/usr/bin/env python3
"""Where shmqd keeps state: what it says of a directory that it cannot use, and what it goes on with."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from cli_support import BIN_DIR, DONE, FAILED, WATCHDOG_SECONDS, main, wait_until

# In namespaces of its own: a small disk, full, or one that is read-only.
SMALL_DISK = """
set -e
mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"
{prepare}
shift
exec "$@"
"""
FILL = 'cat /dev/zero >"$1/filling" 2>/dev/null || true'
READ_ONLY = 'mount -o remount,ro "$1"'


def can_mount() -> bool:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False,
                          capture_output=True).returncode == 0


class StateTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="shmq-state-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.socket = self.folder / "socket"
        self.state = self.folder / "state"
        self.log = self.folder / "log"

    def command(self, *options: Any) -> list[str]:
        return [str(BIN_DIR / "shmqd"), "--socket", str(self.socket), *map(str, options)]

    def start(self, *options: Any, before: tuple = ()) -> subprocess.Popen:
        with open(self.log, "ab") as log:
            daemon = subprocess.Popen([*before, *self.command(*options)], stdout=log, stderr=log,
                                      stdin=subprocess.DEVNULL)
        self.addCleanup(self.end, daemon)
        wait_until(lambda: daemon.poll() is not None or self.socket.exists(), "the socket")
        self.assertIsNone(daemon.poll(), self.said())
        return daemon

    @staticmethod
    def end(daemon: subprocess.Popen) -> None:
        daemon.terminate()
        daemon.wait(WATCHDOG_SECONDS)

    def said(self) -> str:
        return self.log.read_text()

    def refuses(self, *options: Any, before: tuple = ()) -> str:
        # Without a keeper, so that one that starts all the same ends with the watchdog.
        done = subprocess.run([*before, *self.command(*options, "--no-keeper")], capture_output=True, text=True,
                              check=False, timeout=WATCHDOG_SECONDS)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse(self.socket.exists())
        return done.stderr

    def shmq(self, *words: Any, status: int = DONE) -> str:
        done = subprocess.run([BIN_DIR / "shmq", *map(str, words), "--socket", self.socket],
                              capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=WATCHDOG_SECONDS)
        self.assertEqual(done.returncode, status, f"{words}: {done.stderr}")
        return done.stdout + done.stderr

    def test_without_a_word_it_lies_beside_a_named_socket(self) -> None:
        self.start()
        self.shmq("ls")  # answered once all is open
        state = Path(f"{self.socket}.state")
        self.assertEqual(state.stat().st_mode & 0o7777, 0o700)
        self.assertEqual(os.listdir(state), ["lock"])

    def test_one_that_is_named_is_made(self) -> None:
        self.start("--state-dir", self.state / "below")
        self.shmq("ls")  # answered once all is open
        self.assertEqual(os.listdir(self.state / "below"), ["lock"])
        self.assertIn(str(self.state / "below"), self.shmq("status"))
        self.assertFalse(Path(f"{self.socket}.state").exists())

    def test_one_that_is_named_and_cannot_be_used_is_refused(self) -> None:
        self.state.write_text("")
        text = self.refuses("--state-dir", self.state)
        self.assertIn(f"state directory {self.state}: it is no directory; remove it", text)
        self.state.unlink()
        self.state.mkdir()
        self.state.chmod(0o770)
        self.assertIn("others may write to it (mode 0770)",
                      self.refuses("--state-dir", self.state))

    def test_another_daemons_is_refused_with_its_pid(self) -> None:
        self.start("--state-dir", self.state, "--no-keeper")
        self.shmq("ls")  # answered once all is open
        other = subprocess.run([BIN_DIR / "shmqd", "--socket", self.folder / "other",
                                "--state-dir", self.state, "--no-keeper"], capture_output=True, text=True,
                               check=False, timeout=WATCHDOG_SECONDS)
        self.assertEqual(other.returncode, 1)
        holder = (self.state / "lock").read_text().strip()
        self.assertIn(f"another shmqd (pid {holder}) uses it", other.stderr)

    def test_the_default_one_that_cannot_be_used_costs_journals_only(self) -> None:
        state = Path(f"{self.socket}.state")
        state.write_text("")
        self.start()
        sentence = f"state directory {state}: it is no directory"
        wait_until(lambda: sentence in self.said(), "the warning")
        self.assertIn(sentence, self.shmq("status"))
        self.shmq("create", "plain")
        for options in (("--overflow", "spill"), ("--durability", "durable")):
            self.assertIn(sentence, self.shmq("create", "q", *options, status=FAILED))
        self.assertNotIn("q\n", self.shmq("ls", "--names"))

    def test_a_successor_has_the_same_one(self) -> None:
        keeper = self.start("--state-dir", self.state)
        self.shmq("ls")  # answered once all is open
        lock = self.state / "lock"
        before = int(lock.read_text())
        self.assertNotEqual(before, keeper.pid)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: lock.read_text() not in ("", f"{before}\n"), "a successor")
        self.shmq("create", "q")
        self.assertFalse(Path(f"{self.socket}.state").exists())

    def test_a_successor_goes_on_without_rather_than_lose_queues(self) -> None:
        self.start("--state-dir", self.state)
        self.shmq("create", "q")
        self.shmq("send", "q", "m")
        self.state.chmod(0o777)
        before = int((self.state / "lock").read_text())
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: "others may write to it" in self.said(), "the warning")
        self.assertEqual(self.shmq("recv", "q"), "m\n")

    @unittest.skipUnless(can_mount(), "needs root and mounts")
    def test_a_full_disk_and_a_read_only_one(self) -> None:
        self.state.mkdir()

        def on_disk(prepare: str) -> tuple:
            return ("unshare", "-m", "bash", "-c", SMALL_DISK.format(prepare=prepare), "disk",
                    str(self.state))

        self.assertIn("its file system is read-only", self.refuses(
            "--state-dir", self.state, before=on_disk(READ_ONLY)))
        self.assertIn("its disk is full; make room", self.refuses(
            "--state-dir", self.state, before=on_disk(FILL)))
        self.start("--state-dir", self.state, before=on_disk('mkdir "$1/queues"\n' + FILL))
        # Who has queues there must be able to drain them.
        wait_until(lambda: "its disk is full" in self.said(), "the warning")
        self.shmq("create", "q")


if __name__ == "__main__":
    main()
