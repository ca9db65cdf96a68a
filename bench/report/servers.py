"""Servers that peers need, each private: its own directory, its own socket, ended with the run. Started
when first needed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable


POOLS = {128: 20000, 1 << 10: 5000, 4 << 10: 2000, 64 << 10: 600, 1 << 20: 300, 4 << 20: 300}
ROUDI = "[general]\nversion = 1\n[[segment]]\n" + "".join(
    f"[[segment.mempool]]\nsize = {size}\ncount = {count}\n" for size, count in POOLS.items())
RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH changes the user


def start_roudi(at: Path) -> tuple[list[str], dict]:
    (at / "roudi.toml").write_text(ROUDI)
    # Without monitoring: it takes who may not run for a while for dead.
    return ["iox-roudi", "-c", str(at / "roudi.toml"), "-m", "off"], {}


def start_redis(at: Path, *settings: str) -> tuple[list[str], dict]:
    return ["redis-server", "--port", "0", "--unixsocket", str(at / "socket"), "--save", "", *settings], {}


def start_beanstalkd(at: Path, *settings: str) -> tuple[list[str], dict]:
    return ["beanstalkd", "-l", f"unix:{at}/socket", "-z", "1048576", *settings], {}


def start_beanstalkd_durable(at: Path) -> tuple[list[str], dict]:
    (at / "log.d").mkdir()
    return start_beanstalkd(at, "-b", str(at / "log.d"), "-f", "0")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_rabbitmq(at: Path) -> tuple[list[str], dict]:
    port, epmd, distribution = (free_port() for _ in range(3))
    (at / "port").write_text(str(port))
    (at / "epmd").write_text(str(epmd))
    (at / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    (at / "plugins").write_text("[].\n")
    return [RABBITMQ_SERVER], {
        "HOME": str(at), "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "shmq-bench@localhost", "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(at / "rabbitmq.conf"), "RABBITMQ_MNESIA_BASE": str(at / "data"),
        "RABBITMQ_LOG_BASE": str(at), "RABBITMQ_ENABLED_PLUGINS_FILE": str(at / "plugins"),
        "RABBITMQ_PID_FILE": str(at / "pid"), "RABBITMQ_CONF_ENV_FILE": "/dev/null"}


def read_port(at: Path) -> str:
    return (at / "port").read_text() if (at / "port").exists() else ""


def rabbitmq_is_ready(port: str) -> bool:
    """It speaks first only after our header; a node that still starts does not take it."""
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 1) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\0\0\x09\x01")
            return connection.recv(1) == b"\x01"
    except (OSError, ValueError):
        return False


def roudi_is_ready(address: str) -> bool:
    log = Path(address) / "log"
    return log.exists() and "RouDi is ready" in log.read_text()


class Server:
    def __init__(self, program: str, package: str, start: Callable[[Path], tuple[list[str], dict]],
                 address: Callable[[Path], str], ready: Callable[[str], bool]):
        self.program, self.package = program, package
        self.start, self.address, self.ready = start, address, ready
        self.process: subprocess.Popen | None = None
        self.failed = ""


def in_socket(at: Path) -> str:
    return str(at / "socket")


def socket_is_there(address: str) -> bool:
    return Path(address).is_socket()


def session_of(leader: int) -> list[int]:
    """The processes of a server, which was made the leader of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


class Servers:
    def __init__(self, bin_dir: Path, real_time: bool):
        self.real_time = real_time
        self.directory = Path(tempfile.mkdtemp(prefix="shmq-bench-"))
        self.known = {
            "shmqd": Server(str(bin_dir / "shmqd"), "",
                            lambda at: ([str(bin_dir / "shmqd"), "--socket", str(at / "socket")], {}),
                            in_socket, socket_is_there),
            "roudi": Server("iox-roudi", "iceoryx", start_roudi, str, roudi_is_ready),
            "redis": Server("redis-server", "redis-server", lambda at: start_redis(at, "--appendonly", "no"),
                            in_socket, socket_is_there),
            "redis_durable": Server("redis-server", "redis-server", lambda at: start_redis(
                at, "--appendonly", "yes", "--appendfsync", "always"), in_socket, socket_is_there),
            "beanstalkd": Server("beanstalkd", "beanstalkd", start_beanstalkd, in_socket, socket_is_there),
            "beanstalkd_durable": Server("beanstalkd", "beanstalkd", start_beanstalkd_durable, in_socket,
                                         socket_is_there),
            "rabbitmq": Server(RABBITMQ_SERVER, "rabbitmq-server", start_rabbitmq, read_port, rabbitmq_is_ready),
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
        if server.process is None:
            self.launch(name, server)
        return server.address(self.place(name))

    def launch(self, name: str, server: Server) -> None:
        self.place(name).mkdir()
        command, environment = server.start(self.place(name))
        with open(self.place(name) / "log", "wb") as log:
            server.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              env={**os.environ, **environment}, cwd=self.place(name),
                                              start_new_session=True)
        end = time.monotonic() + 60
        while not server.ready(server.address(self.place(name))):
            if server.process.poll() is not None or time.monotonic() > end:
                server.failed = f"{Path(server.program).name} did not start"
                raise RuntimeError(server.failed)
            time.sleep(0.02)
        if self.real_time:
            self.raise_priority(server.process.pid)

    @staticmethod
    def raise_priority(session: int) -> None:
        """To that of the roles, else these would keep it waiting; where it is allowed."""
        for pid in session_of(session):
            subprocess.run(["chrt", "--all-tasks", "--rr", "--pid", "10", str(pid)], capture_output=True, check=False)

    def pid(self, name: str) -> int:
        self.address(name)
        return self.known[name].process.pid

    def end_port_mapper(self) -> None:
        """Erlang's, which outlives the node that started it."""
        port = self.place("rabbitmq") / "epmd"
        if port.exists() and shutil.which("epmd"):
            subprocess.run(["epmd", "-port", port.read_text(), "-kill"], capture_output=True, check=False)

    def end(self) -> None:
        for server in self.known.values():
            if server.process is None:
                continue
            server.process.terminate()
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.process.pid, signal.SIGKILL)
        self.end_port_mapper()
        # iceoryx leaves these of every process, where no setting moves them.
        for left in Path("/tmp").glob("shmq-bench-role-*"):
            if not Path("/proc", left.name.split("-")[3]).exists():
                left.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)
