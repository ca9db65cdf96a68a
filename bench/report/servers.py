"""Servers that peers need, each private: its own directory, its own socket, ended with the run. Started
when first needed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable


class Server:
    def __init__(self, program: str, package: str, start: Callable[[Path], tuple[list[str], dict]],
                 address: Callable[[Path], str], ready: Callable[[str], bool]):
        self.program, self.package = program, package
        self.start, self.address, self.ready = start, address, ready
        self.process: subprocess.Popen | None = None
        self.failed = ""


def socket_is_there(address: str) -> bool:
    return Path(address).is_socket()


class Servers:
    def __init__(self, bin_dir: Path):
        self.directory = Path(tempfile.mkdtemp(prefix="shmq-bench-"))
        self.known = {
            "shmqd": Server(str(bin_dir / "shmqd"), "",
                            lambda at: ([str(bin_dir / "shmqd"), "--socket", str(at / "socket")], {}),
                            lambda at: str(at / "socket"), socket_is_there),
        }

    def missing(self, name: str) -> str:
        server = self.known[name]
        if shutil.which(server.program) is None:
            return f"{server.package or server.program} is not installed"
        return server.failed

    def place(self, name: str) -> Path:
        return self.directory / name

    def address(self, name: str) -> str:
        server = self.known[name]
        address = server.address(self.place(name))
        if server.process is None:
            self.launch(name, server, address)
        return address

    def launch(self, name: str, server: Server, address: str) -> None:
        self.place(name).mkdir()
        command, environment = server.start(self.place(name))
        with open(self.place(name) / "log", "wb") as log:
            server.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              env={**os.environ, **environment}, cwd=self.place(name),
                                              start_new_session=True)
        end = time.monotonic() + 60
        while not server.ready(address):
            if server.process.poll() is not None or time.monotonic() > end:
                server.failed = f"{Path(server.program).name} did not start"
                raise RuntimeError(server.failed)
            time.sleep(0.02)

    def pid(self, name: str) -> int:
        self.address(name)
        return self.known[name].process.pid

    def end(self) -> None:
        for server in self.known.values():
            if server.process is None:
                continue
            server.process.terminate()
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.process.pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
