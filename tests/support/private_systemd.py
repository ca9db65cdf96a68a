"""A real systemd as process 1 of namespaces of its own, over the running root file system, or in a
folder that holds another one."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

SYSTEMD = Path("/lib/systemd/systemd")
PATIENCE_SECONDS = 60

# In the new namespaces. The shared control groups must be gone first: systemd would remount them
# for everybody. /etc and /var are covered, so that nothing is written to the machine's own.
INIT = """
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/lock
for d in etc var; do
    mkdir -p /run/over/$d/upper /run/over/$d/work
    mount -t overlay -o "lowerdir=/$d,upperdir=/run/over/$d/upper,workdir=/run/over/$d/work" \\
        overlay "/$d"
done
exec env -i container=shmq-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    "SYSTEMD_UNIT_PATH=$1:/lib/systemd/system" "$2" --system "--unit=$3" \\
    --show-status=no --log-target=console --log-level=notice
"""


# The same in a system of its own, which may write to it as it likes, and to nothing of the kernel.
INIT_IN_ROOT = """
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd "$4"
mount --bind . .
cd "$4"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --rbind /sys sys
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm run/lock
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . mnt
umount -l /mnt
exec env -i container=shmq-test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$2" --system "--unit=$3" \\
    --show-status=no --log-target=console --log-level=notice
"""


class Unavailable(Exception):
    """This machine cannot do it; the text says why."""


def cgroup2() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise Unavailable("no cgroup2 is mounted")


class PrivateSystemd:
    """Runs from construction to close(). `units`: a folder of unit files, one of them `target`; or
    `root`: the folder of a whole system, with its own unit files."""

    def __init__(self, units: Path | None, target: str, log: IO[bytes], root: Path | None = None):
        if os.geteuid() != 0:
            raise Unavailable("not root")
        for program in ("unshare", "nsenter", "systemctl", SYSTEMD):
            if shutil.which(program) is None:
                raise Unavailable(f"no {program}")
        try:
            self.group = Path(tempfile.mkdtemp(prefix="shmq-test.", dir=cgroup2()))
        except OSError as problem:
            raise Unavailable(f"no control group of its own: {problem}") from problem
        self.started = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup",
             "--ipc", "--uts", "--propagation", "private",
             "bash", "-c", INIT_IN_ROOT if root else INIT, "init", units or "", SYSTEMD, target,
             root or ""],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=lambda: (self.group / "cgroup.procs").write_text(str(os.getpid())))
        self.init = 0
        try:
            self.wait_for_boot()
        except Unavailable:
            self.close()
            raise

    def wait_for_boot(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if self.started.poll() is not None:
                raise Unavailable(f"systemd ended with {self.started.returncode}")
            self.init = child_of(self.started.pid)
            if self.init and self.systemctl("list-units").returncode == 0:
                return
            time.sleep(0.02)
        raise Unavailable("systemd does not answer")

    def inside(self, *words: str | Path) -> list[str | Path]:
        """The command, to be run in these namespaces."""
        return ["nsenter", "-t", str(self.init), "-m", "-p", "-C", "-i", "-u", *words]

    def systemctl(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.inside("systemctl", *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False,
                              timeout=PATIENCE_SECONDS)

    def show(self, unit: str, what: str) -> str:
        return self.systemctl("show", "--value", "-p", what, unit).stdout.strip()

    def close(self) -> None:
        for pid in (self.init, self.started.pid):
            try:
                if pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.started.wait()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.group.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    time.sleep(0.01)  # its processes are still ending


def child_of(pid: int) -> int:
    """The only child of a process; 0: none yet."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0
    return int(words[0]) if words else 0
