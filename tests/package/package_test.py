#!/usr/bin/env python3
"""package_test.py OLD NEW: the life of the packages in a clean system of Debian 12 under its own systemd.
OLD and NEW are folders of packages, of which the second upgrades the first. The system is made from
where this machine's apt has Debian from, once, and kept in build/package/clean-root.tar."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from private_systemd import PrivateSystemd, child_of  # noqa: E402

CLEAN = ROOT / "build" / "package" / "clean-root.tar"
# What a developer has there; everything else the packages must ask for themselves.
DEVELOPER = "systemd,g++,cmake,make,pkg-config"
PATIENCE_SECONDS = 300
PACKAGES = ("libshmq1", "libshmq-dev", "shmq", "python3-shmq")


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"this never came: {what}")
        time.sleep(0.05)
    return value


def debian_sources() -> bytes:
    """What this machine's apt has of Debian, as lines of sources.list."""
    return subprocess.run(
        ["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Identifier: Packages", "Origin: Debian"], capture_output=True, check=True).stdout


def make_clean_root() -> None:
    if CLEAN.exists():
        return
    sources = debian_sources()
    if not sources:  # apt has never looked
        subprocess.run(["apt-get", "-q", "update"], check=True)
        sources = debian_sources()
    partial = CLEAN.with_suffix(".partial")
    subprocess.run(["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase",
                    f"--include={DEVELOPER}", "bookworm", partial, "-"], input=sources, check=True)
    partial.rename(CLEAN)


class PackageTest(unittest.TestCase):
    old: Path
    new: Path

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can start a system of its own")
        make_clean_root()
        folder = tempfile.TemporaryDirectory(prefix="package-", dir=CLEAN.parent)
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "root"
        self.root.mkdir()
        subprocess.run(["tar", "-xf", CLEAN, "-C", self.root, "--exclude=./dev/*"], check=True)
        shutil.copy("/etc/resolv.conf", self.root / "etc" / "resolv.conf")
        for name, packages in (("old", self.old), ("new", self.new)):
            shutil.copytree(packages, self.root / "srv" / name)
        shutil.copytree(HERE / "programs", self.root / "srv" / "programs")
        self.console = Path(folder.name) / "console"
        with open(self.console, "wb") as console:
            self.systemd = PrivateSystemd(None, "multi-user.target", console, root=self.root)
        self.addCleanup(self.systemd.close)
        wait_until(lambda: self.run_inside("systemctl is-system-running").stdout.strip()
                   in ("running", "degraded"), "the system is up")

    def run_inside(self, script: str) -> subprocess.CompletedProcess:
        environment = ["env", "-i", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                       "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return subprocess.run(self.systemd.inside(*environment, "bash", "-c", script), check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/",
                              timeout=PATIENCE_SECONDS)

    def inside(self, script: str) -> str:
        done = self.run_inside(f"set -e -o pipefail; cd ~; export HOME=$PWD; {script}")
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}{done.stderr}"
                         f"{self.run_inside('journalctl -n 30 --no-pager').stdout}")
        return done.stdout

    def info(self, queue: str) -> dict[str, Any]:
        return json.loads(self.inside(f"shmq info {queue} --json"))

    def test_installed_used_upgraded_removed_and_purged(self) -> None:
        self.install()
        self.programs()
        self.guide()
        self.upgrade_under_load()
        self.removal()
        self.purge()

    def install(self) -> None:
        self.inside("apt-get -q update")
        said = self.inside("apt-get -q install -y --no-install-recommends /srv/old/*.deb 2>&1")
        self.assertNotIn("warning", said.lower().replace("warning: apt does not", ""))
        self.assertEqual(self.inside("systemctl is-enabled shmqd.socket").strip(), "enabled")
        self.assertEqual(self.systemd.show("shmqd.socket", "ActiveState"), "active")
        self.assertEqual(self.systemd.show("shmqd.service", "ActiveState"), "inactive")
        self.inside("getent passwd shmq")
        self.assertRegex(self.inside("shmq version"), r"\d+\.\d+\.\d+")
        for package in PACKAGES:
            self.inside(f"test -s /usr/share/doc/{package}/copyright")
            self.inside(f"zcat /usr/share/doc/{package}/changelog.Debian.gz | grep -q '^shmq ('")
            self.assertEqual(self.inside(f"dpkg --verify {package}"), "")
        self.inside("shmqd --check-config")
        self.assertEqual(self.inside("dpkg-query -f '${Conffiles}' -W shmq").split()[0],
                         "/etc/shmq/shmqd.toml")
        self.inside("systemctl start shmqd.service && shmq status")
        user = self.systemd.show("shmqd", "MainPID")
        self.assertEqual(self.inside(f"stat -c %U /proc/{user}").strip(), "shmq")

    def programs(self) -> None:
        self.inside("cmake -S /srv/programs -B by_cmake && cmake --build by_cmake")
        self.inside("g++ -std=c++20 /srv/programs/produce.cpp -o cpp $(pkg-config --cflags --libs shmq)")
        self.inside("gcc -std=c99 /srv/programs/produce.c -o c $(pkg-config --cflags --libs shmq)")
        for program in ("by_cmake/produce_cpp", "by_cmake/produce_c", "./cpp", "./c"):
            self.inside(program)
        received = self.inside("python3 /srv/programs/consume.py 4").splitlines()
        self.assertEqual(received, ["from C++", "from C"] * 2)

    def guide(self) -> None:
        blocks, kept = [], False
        for line in (ROOT / "docs" / "guide.md").read_text().splitlines():
            if line.startswith("```"):
                kept = not kept and line == "```sh guide"
            elif kept:
                blocks.append(line)
        script = self.root / "srv" / "guide.sh"
        script.write_text("set -eu -o pipefail; set -m\n" + "\n".join(blocks) + "\n")
        printed = self.inside("bash /srv/guide.sh 2>&1").splitlines()
        promised = [line.split("# prints: ")[1] for line in blocks if "# prints: " in line]
        self.assertGreater(len(promised), 8)
        for line in promised:
            self.assertIn(line, printed)

    def upgrade_under_load(self) -> None:
        self.inside("shmq create stream; shmq create backlog; shmq create orders --durability durable")
        self.inside("seq 500 | shmq send backlog")
        self.inside("echo '# ours' >>/etc/shmq/shmqd.toml")
        self.inside("seq 500 | shmq send orders --confirm durable")
        load = [subprocess.Popen(self.systemd.inside("bash", "-c", script), cwd="/",
                                 stdin=subprocess.DEVNULL)
                for script in (
                    "n=0; while [ ! -e /srv/stop ]; do echo $((n += 1)); done"
                    " | shmq send stream 2>/srv/send.err",
                    "exec shmq recv stream --follow >/srv/received 2>/srv/recv.err")]
        for process in load:
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
        wait_until(lambda: self.info("stream")["acked"] > 1000, "the stream flows")
        daemon = self.systemd.show("shmqd.service", "MainPID")
        socket = self.systemd.show("shmqd.socket", "ActiveEnterTimestampMonotonic")
        self.inside("apt-get -q install -y --no-install-recommends /srv/new/*.deb 2>&1")
        self.assertRegex(self.inside("dpkg-query -W shmq"), r"-2$")
        self.assertNotEqual(self.systemd.show("shmqd.service", "MainPID"), daemon)
        self.assertEqual(self.systemd.show("shmqd.socket", "ActiveEnterTimestampMonotonic"), socket)
        self.assertEqual(self.inside("tail -n 1 /etc/shmq/shmqd.toml"), "# ours\n")
        before = self.info("stream")["acked"]
        wait_until(lambda: self.info("stream")["acked"] > before + 1000, "the stream goes on")
        (self.root / "srv" / "stop").touch()
        self.assertEqual(load[0].wait(PATIENCE_SECONDS), 0)
        sent = wait_until(lambda: (now := self.info("stream"))["acked"] == now["sent"] and now["sent"],
                          "everything has arrived")
        received = (self.root / "srv" / "received").read_text().split()
        self.assertEqual(received, [str(n + 1) for n in range(sent)])
        self.assertEqual(self.info("stream")["redelivered"], 0)
        for errors in ("send.err", "recv.err"):
            self.assertEqual((self.root / "srv" / errors).read_text(), "")
        os.kill(child_of(load[1].pid), signal.SIGTERM)  # nsenter passes none on
        self.assertEqual(load[1].wait(PATIENCE_SECONDS), 0)
        for queue in ("backlog", "orders"):
            received = self.inside(f"shmq recv {queue} -n 500").split()
            self.assertEqual(received, [str(n + 1) for n in range(500)])

    def removal(self) -> None:
        self.inside("shmq create kept --durability durable; shmq send kept one --confirm durable")
        self.inside("apt-get -q remove -y shmq 2>&1")
        for unit in ("shmqd.service", "shmqd.socket"):
            self.assertIn(self.systemd.show(unit, "ActiveState"), ("inactive", "failed"))
        self.inside("test -n \"$(ls -A /var/lib/shmq/queues)\" && test ! -e /usr/bin/shmqd")
        self.inside("apt-get -q install -y --no-install-recommends /srv/new/shmq_*.deb 2>&1")
        self.assertEqual(self.inside("shmq recv kept -n 1 --timeout 60s").strip(), "one")

    def purge(self) -> None:
        self.inside(f"apt-get -q purge -y {' '.join(PACKAGES)} 2>&1")
        left = self.inside("ls -d /var/lib/shmq /etc/shmq /run/shmq /usr/lib/python3/dist-packages/shmq"
                           " 2>/dev/null || true; find /etc/systemd /var/lib/systemd -name 'shmqd*'")
        self.assertEqual(left, "")
        for package in PACKAGES:
            self.assertNotEqual(self.run_inside(f"dpkg-query -W {package}").returncode, 0)


if __name__ == "__main__":
    *options, PackageTest.old, PackageTest.new = [
        Path(word) if os.path.isdir(word) else word for word in sys.argv[1:]]
    unittest.main(argv=[sys.argv[0], *options])
