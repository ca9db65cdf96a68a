#!/usr/bin/env python3
"""chroot_test.py OLD NEW: the package shmq where no systemd runs, as in a container or an image that is
being made. OLD and NEW are folders of packages, of which the second upgrades the first."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from package_test import CLEAN, make_clean_root

PATIENCE_SECONDS = 300

# Namespaces that end with their first process, a shell, which reaps what its children leave.
ENTER = """
[[ $2 == bare ]] || mount -t proc proc "$1/proc"
for device in null zero full random urandom; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
exec chroot "$1" env -i LC_ALL=C.UTF-8 HOME=/ DEBIAN_FRONTEND=noninteractive \\
    PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c "set -eu -o pipefail; $3"
"""

FILES_LEFT = """
    for place in /var/lib/shmq /etc/shmq /run/shmq; do test ! -e $place; done
    test -z "$(find /etc/systemd /var/lib/systemd -name 'shmqd*')"
"""

BARE = """
    dpkg -i /srv/old/shmq_*.deb
    getent passwd shmq
    dpkg -i /srv/new/shmq_*.deb
    dpkg -r shmq
    dpkg -P shmq
""" + FILES_LEFT

IN_USE = """
    wait_until() { local n=600; until eval "$1"; do ((n -= 1)) || { echo "never: $1"; exit 1; }; sleep 0.1; done; }
    acked() { shmq info stream --json | sed -n 's/.*"acked": \\([0-9]*\\).*/\\1/p'; }
    flows() { local before=$(acked); wait_until "(( $(echo '$(acked)') > $before + 1000 ))"; }
    program() { readlink /proc/$(pgrep -x $1)/exe; }
    replaced() { [[ $(pgrep -x $1) =~ ^[0-9]+$ && $(pgrep -x $1) != $2 && $(program $1) == /usr/bin/$1 ]]; }

    dpkg -i /srv/old/shmq_*.deb
    test -L /etc/systemd/system/sockets.target.wants/shmqd.socket
    test "$(stat -c %U /run/shmq)" = shmq
    test -z "$(pgrep -x shmqd)"
    shmq create stream
    (n=0; while [[ ! -e /srv/stop ]]; do echo $((n += 1)); done | shmq send stream) 2>/srv/send.err &
    sender=$!
    shmq recv stream --follow >/srv/received 2>/srv/recv.err &
    receiver=$!
    flows
    daemon=$(pgrep -x shmqd)
    keeper=$(pgrep -x shmq-keeper)

    dpkg -i /srv/new/shmq_*.deb
    test "$(pgrep -x shmqd) $(pgrep -x shmq-keeper)" = "$daemon $keeper"
    flows
    kill -KILL $daemon
    wait_until 'replaced shmqd $daemon'
    kill -KILL $keeper
    wait_until 'replaced shmq-keeper $keeper'
    flows
    touch /srv/stop
    wait $sender
    sent=$(shmq info stream --json | sed -n 's/.*"sent": \\([0-9]*\\).*/\\1/p')
    wait_until '(( $(acked) == sent ))'
    kill $receiver
    wait $receiver
    seq $sent | cmp - /srv/received
    test ! -s /srv/send.err
    test ! -s /srv/recv.err

    shmq create kept --durability durable
    dpkg -r shmq
    kill $(pgrep -x shmqd)
    wait_until '[[ -z $(pgrep shmq) ]]'
    test -n "$(ls /var/lib/shmq/queues)"
    dpkg -P shmq
""" + FILES_LEFT


class ChrootTest(unittest.TestCase):
    old: Path
    new: Path

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can change its root")
        make_clean_root()
        folder = tempfile.TemporaryDirectory(prefix="chroot-", dir=CLEAN.parent)
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        subprocess.run(["tar", "-xf", CLEAN, "-C", self.root, "--exclude=./dev/*"], check=True)
        shutil.copy("/etc/resolv.conf", self.root / "etc" / "resolv.conf")
        for name, packages in (("old", self.old), ("new", self.new)):
            shutil.copytree(packages, self.root / "srv" / name)

    def inside(self, script: str, kind: str = "whole") -> None:
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "bash", "-e", "-c", ENTER, "enter", self.root, kind, script],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd="/", timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}")

    def test_without_systemd(self) -> None:
        # What it asks for comes from Debian; it itself is left to the parts below.
        self.inside("apt-get -q update; apt-get -q install -y --no-install-recommends procps"
                    " /srv/old/shmq_*.deb; dpkg -P shmq")
        self.inside(BARE, "bare")
        self.inside(IN_USE)


if __name__ == "__main__":
    *options, ChrootTest.old, ChrootTest.new = [
        Path(word) if os.path.isdir(word) else word for word in sys.argv[1:]]
    unittest.main(argv=[sys.argv[0], *options])
