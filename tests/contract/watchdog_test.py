#!/usr/bin/env python3
"""A service manager's watchdog is fed only while all threads of the daemon turn."""

import ctypes
import os
import socket
import subprocess
import time
from pathlib import Path

from cli_support import BIN_DIR, CliTest, main, wait_until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # threads, too
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, thread: int) -> None:
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


class WatchdogTest(CliTest):
    @classmethod
    def start_daemon(cls) -> None:
        address = f"{cls.directory.name}/notify"
        cls.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.manager.bind(address)
        cls.manager.setblocking(False)
        with open(f"{cls.directory.name}/log", "ab") as log:
            cls.daemon = subprocess.Popen(
                [BIN_DIR / "shmqd", "--socket", cls.socket, "--io", "epoll"], stdout=log,
                stderr=log, stdin=subprocess.DEVNULL,
                env=os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "90000"})
        wait_until(lambda: os.path.exists(cls.socket), "the daemon's socket")

    def fed(self) -> int:
        """How often since the last time."""
        count = 0
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.manager, 65536, 8)
            except BlockingIOError:
                return count
            for descriptor in descriptors:
                os.close(descriptor)
            count += message == b"WATCHDOG=1"

    def said(self) -> str:
        return Path(f"{self.directory.name}/log").read_text()

    def rests(self, thread: int) -> bool:
        time.sleep(0.01)
        call = Path(f"/proc/{self.daemon.pid}/task/{thread}/syscall").read_text()
        return call.startswith("202 ")  # futex

    def test_a_thread_of_the_journals_that_hangs_is_not_fed_for(self) -> None:
        self.create("--durability", "durable")
        self.shmq("send", self.queue, "--confirm", "durable", "one")
        wait_until(self.fed, "a first word")
        tasks = {int(task) for task in os.listdir(f"/proc/{self.daemon.pid}/task")}
        (thread,) = tasks - {self.daemon.pid}
        # Not at a call to the disk, such as making the next file: what is under way is not hung.
        wait_until(lambda: all(self.rests(thread) for _ in range(20)), "all is written")
        ptrace(PTRACE_SEIZE, thread)
        ptrace(PTRACE_INTERRUPT, thread)
        self.assertEqual(os.waitpid(thread, WALL)[0], thread)
        # With nothing to do it may rest as long as it likes.
        self.fed()
        for _ in range(5):
            wait_until(self.fed, "another word")
        self.send("two")
        wait_until(lambda: "takes up no work" in self.said(), "a hung thread noticed")
        self.fed()
        before = self.said().count("takes up no work")
        wait_until(lambda: self.said().count("takes up no work") > before + 3, "still hung")
        self.assertEqual(self.fed(), 0)
        ptrace(PTRACE_DETACH, thread)
        wait_until(self.fed, "it goes on")
        self.assertEqual(self.recv(), b"one\ntwo\n")


if __name__ == "__main__":
    main()
