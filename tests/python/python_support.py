"""For the tests of the Python package: a daemon of their own, and programs beside it."""

import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BIN_DIR = Path(os.environ["SHMQ_TEST_BIN_DIR"])


class DaemonTest(unittest.TestCase):
    """Each class has a daemon; each test a queue name of its own."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.directory = tempfile.TemporaryDirectory()
        cls.socket = f"{cls.directory.name}/socket"
        os.environ["SHMQ_SOCKET"] = cls.socket
        with open(f"{cls.directory.name}/log", "w") as log:
            cls.daemon = subprocess.Popen([BIN_DIR / "shmqd", "--socket", cls.socket], stderr=log)
        while not os.path.exists(cls.socket):
            assert cls.daemon.poll() is None, Path(cls.directory.name, "log").read_text()
            time.sleep(0.01)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.daemon.terminate()
        cls.daemon.wait()
        cls.directory.cleanup()

    @property
    def queue(self) -> str:
        return self.id().replace("_", "-").split(".", 1)[1]

    def start(self, program: str, *arguments: str) -> subprocess.Popen:
        """A Python program beside this one; its lines can be read."""
        started = subprocess.Popen([sys.executable, "-c", program, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def end() -> None:
            started.kill()
            started.communicate()

        self.addCleanup(end)
        return started

    def shmq(self, *arguments: str, **options: object) -> subprocess.CompletedProcess:
        """The C++ half of the world: the command line."""
        return subprocess.run([BIN_DIR / "shmq", *arguments], check=True, capture_output=True,
                              text=True, timeout=60, **options)
