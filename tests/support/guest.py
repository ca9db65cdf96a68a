"""A machine of its own under qemu, with the kernel of stock Debian: it can be suspended, and nobody
else notices."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BIN_DIR = Path(os.environ.get("SHMQ_TEST_BIN_DIR")
               or Path(__file__).resolve().parents[2] / "build" / "release" / "bin")
PROGRAMS = tuple(BIN_DIR / name for name in ("shmq", "shmqd", "shmq-keeper"))

# Emulated, on a busy machine: from power on to power off seconds, if nothing hangs.
WATCHDOG_SECONDS = 400

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /run /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
. /script 2> /run/errors
echo "== errors"
cat /run/errors
echo "== the script came to its end"
poweroff -f
"""


class Unavailable(Exception):
    """This machine cannot do it; the text says why."""


def unpack_kernel(into: Path) -> Path:
    """Debian's kernel for clouds, which wants no drivers for a console; downloaded, not installed."""
    meta = "linux-image-cloud-amd64"
    depends = subprocess.run(["apt-cache", "depends", "--no-recommends", meta],
                             capture_output=True, text=True, check=False).stdout
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    if package is None:
        raise Unavailable(f"no package {meta} is known here")
    got = subprocess.run(["apt-get", "-q", "download", package[1]], cwd=into, capture_output=True,
                         text=True, check=False)
    if got.returncode != 0:
        raise Unavailable(f"{package[1]} cannot be downloaded: {got.stderr}")
    archive = next(into.glob("*.deb"))
    subprocess.run(["dpkg-deb", "--extract", archive, into], check=True)
    return next((into / "boot").glob("vmlinuz-*"))


def libraries_of(program: Path) -> set[Path]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}


def run_in_guest(programs: tuple[Path, ...], script: str) -> list[str]:
    """Runs a shell script as the only process of a machine that has `programs` in its path, and
    busybox; returns the lines of its console: what it wrote to its standard output, and after
    `== errors` the rest. Raises AssertionError when it comes to no end."""
    qemu = "qemu-system-x86_64"
    for program in (qemu, "busybox", "ldd", "dpkg-deb", "apt-get"):
        if shutil.which(program) is None:
            raise Unavailable(f"no {program}")
    if os.uname().machine != "x86_64":
        raise Unavailable("the guest is an x86_64, this machine is not")
    with tempfile.TemporaryDirectory(prefix="shmq-guest-") as name:
        work = Path(name)
        kernel = unpack_kernel(work)
        root = work / "root"
        for folder in ("bin", "proc", "sys", "dev"):
            (root / folder).mkdir(parents=True)
        shutil.copy(str(shutil.which("busybox")), root / "bin")
        for program in programs:
            shutil.copy(program, root / "bin")
            for library in libraries_of(program):
                (root / library.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, root / library.relative_to("/"))
        (root / "script").write_text(script)
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        with open(work / "initrd", "wb") as initrd:
            files = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
            subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=files,
                           stdout=initrd, stderr=subprocess.DEVNULL, check=True)
        console = subprocess.run(
            [qemu, "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "2", "-nic", "none",
             "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel,
             "-initrd", work / "initrd", "-append", "console=ttyS0 quiet panic=-1"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=WATCHDOG_SECONDS, check=False)
    said = console.stdout.decode(errors="replace")
    if "== the script came to its end" not in said:
        raise AssertionError(f"the guest ended early: {said}\n{console.stderr.decode()}")
    return said.replace("\r", "").splitlines()


class GuestTest(unittest.TestCase):
    """Each class is one run of its script: what it said below each line `== HEADING`."""

    programs: tuple[Path, ...] = PROGRAMS
    script = ""
    said: dict[str, list[str]]

    @classmethod
    def setUpClass(cls) -> None:
        try:
            console = run_in_guest(cls.programs, cls.script)
        except Unavailable as why:
            raise unittest.SkipTest(str(why)) from why
        cls.said = {}
        part: list[str] = []
        for line in console:
            if line.startswith("== "):
                part = cls.said[line.removeprefix("== ")] = []
            else:
                part.append(line)


def main() -> None:
    result = unittest.main(exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.skipped:
        sys.exit(77)
