"""Journals on file systems that misbehave for real, through the whole daemon: a small tmpfs that is full;
ext4 on a loop device whose disk fails to write or to flush, or loses power at any moment."""

import ctypes
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))

from cli_support import ALL, BIN_DIR, FAILED, WATCHDOG_SECONDS, CliTest, wait_until  # noqa: E402

SEED = int(os.environ.get("SHMQ_TEST_SEED") or random.randrange(1 << 32))
FAILING_DISK = BIN_DIR / "test_failing_disk"
SNAPSHOTS = 40 if ALL else 3
EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, with flag 2: nothing more reaches the disk
EXT4_SHUTDOWN_NO_LOG = 2


def own_mounts() -> str:
    """Gives this process mounts of its own, which end with it; or why it cannot have any."""
    if os.getuid() != 0:
        return "needs root, for mounts of its own"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    done = subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)
    return done.stderr.decode()


def lack_of_loop() -> str:
    """What the tests on a loop device miss here; empty: nothing."""
    if not FAILING_DISK.exists():
        return "test_failing_disk was not built: libfuse3-dev is missing"
    for name in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(name):
            return f"there is no {name}"
    return "" if shutil.which("mkfs.ext4") else "mkfs.ext4 (e2fsprogs) is missing"


def run(*words: Any) -> None:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.stderr.decode()}")


def message(number: int) -> bytes:
    """What one is can be told from its bytes, and any damage to it."""
    return b"%d " % number + random.Random(number).randbytes(40 + number % 300).hex().encode()


class DiskTest(CliTest):
    """A daemon whose state lies on `state`, which the class has mounted in prepare()."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="shmq-disk-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.state = Path(cls.folder.name) / "state"
        cls.state.mkdir(mode=0o700)
        cls.daemon_options = ("--state-dir", cls.state)
        cls.prepare()
        super().setUpClass()

    @classmethod
    def prepare(cls) -> None:
        """Mounts `state`; whatever then fails, the class's clean-ups unmount it."""
        raise NotImplementedError

    def tearDown(self) -> None:
        self.shmq("rm", self.queue, "--force", status=None)

    def recv(self, *options: Any, status: int | None = 0) -> bytes:
        """As ever; but what came is not part of a message about a failure."""
        done = self.shmq("recv", self.queue, *options, status=None)
        if status is not None:
            self.assertEqual(done.returncode, status,
                             f"{len(done.stdout)} bytes, {done.stderr.decode()}")
        return done.stdout

    def said(self) -> str:
        return Path(f"{self.directory.name}/log").read_text()

    def restart_daemon(self) -> None:
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.json("status")["pid"] != before, "a successor")

    def feed(self, data: bytes, *options: Any) -> subprocess.Popen:
        sender = self.start("send", self.queue, *options, stdin=subprocess.PIPE)

        def write() -> None:
            try:
                sender.stdin.write(data)
                sender.stdin.close()
            except BrokenPipeError:
                pass

        threading.Thread(target=write, daemon=True).start()
        return sender


class FullDiskTest(DiskTest):
    LINE = b"x" * 20_000 + b"\n"

    @classmethod
    def prepare(cls) -> None:
        run("mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", cls.state)
        cls.addClassCleanup(run, "umount", "-l", cls.state)

    def fill(self) -> None:
        with open(self.state / "filling", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def make_room(self) -> None:
        (self.state / "filling").unlink()

    def assert_says_so(self) -> None:
        # In between it tries again, and hopes.
        wait_until(lambda: self.info()["journal"] == "no room", "no room")
        alarm = wait_until(lambda: self.info()["alarm"], "an alarm")
        self.assertIn("finds no room", alarm)
        self.assertIn("No space left on device", alarm)
        self.assertRegex(self.said(), rf"queue {self.queue}: its journal finds no room: .*No space")

    def test_a_spill_that_refuses(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill", "--when-full", "reject")
        self.fill()
        refused = self.shmq("send", self.queue, input=self.LINE * 3000, status=FAILED)
        self.assertIn(b"finds no room", refused.stderr)
        self.assert_says_so()
        kept = self.info()["ready"]
        self.make_room()  # and nobody consumes anything
        wait_until(lambda: self.info()["alarm"] == "", "it goes on by itself")
        self.send("more")
        self.assertEqual(self.recv() == self.LINE * kept + b"more\n", True)

    def test_a_spill_that_blocks(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill", "--max-message", "64KiB",
                    "--spill-limit", "64MiB")  # files of 8 MiB
        sent = b"".join(b"%d " % number + self.LINE for number in range(2000))
        sender = self.feed(sent)
        self.assert_says_so()  # 24 MiB hold no 40
        out = self.recv("-n", 2000, "--timeout", "20s")
        self.assertEqual(sender.wait(WATCHDOG_SECONDS), 0, sender.stderr.read())
        self.assertEqual(out == sent, True)
        wait_until(lambda: self.info()["journal"] == "ok", "room")

    def test_a_spill_on_a_disk_that_holds_one_of_its_files(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill", "--max-message", "64KiB")  # 16 MiB
        sent = b"".join(b"%d " % number + self.LINE for number in range(3000))
        sender = self.feed(sent)
        self.assert_says_so()
        # Each next file takes the room of the one that was read.
        out = self.recv("-n", 3000, "--timeout", "20s")
        self.assertEqual(sender.wait(WATCHDOG_SECONDS), 0, sender.stderr.read())
        self.assertEqual(out == sent, True)
        wait_until(lambda: self.info()["journal"] == "ok", "room")

    def test_a_durable_queue_confirms_when_there_is_room(self) -> None:
        self.create("--durability", "durable", "--max-message", "64KiB", "--spill-limit", "16MiB")
        self.shmq("send", self.queue, "--confirm", "durable", "one")
        self.fill()
        sender = self.feed(self.LINE * 300, "--confirm", "durable")
        self.assert_says_so()
        self.assertLess(self.info()["durable"], 301)
        self.make_room()  # and nobody consumes anything
        self.assertEqual(sender.wait(WATCHDOG_SECONDS), 0, sender.stderr.read())
        self.assertEqual(self.info()["durable"], 301)
        wait_until(lambda: self.info()["alarm"] == "", "all is well")
        self.assertEqual(self.recv() == b"one\n" + self.LINE * 300, True)

    def test_a_successor_on_a_full_disk_gives_out_what_is_there(self) -> None:
        # What a daemon's first file takes at the least: a few blocks; of a durable queue, its
        # predecessor's last batch besides.
        for room, options in ((64 << 10, ["--overflow", "spill"]),
                              (5 << 20, ["--durability", "durable"])):
            self.create("--capacity", 64, "--when-full", "reject", *options)
            self.shmq("send", self.queue, input=self.LINE * 3000, status=FAILED)
            self.assert_says_so()
            sent = self.info()["sent"]
            self.fill()
            filling = self.state / "filling"
            os.truncate(filling, filling.stat().st_size - room)
            self.restart_daemon()
            self.assertEqual(self.recv("-n", sent, "--timeout", "20s") == self.LINE * sent, True)
            self.make_room()
            self.shmq("rm", self.queue)

    def test_a_successor_without_any_room_serves_its_ring_and_goes_on_by_itself(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill", "--when-full", "reject")
        self.shmq("send", self.queue, input=self.LINE * 3000, status=FAILED)
        sent = self.info()["sent"]
        self.fill()
        self.restart_daemon()
        self.assert_says_so()
        self.assertEqual(self.recv("-n", 64, "--timeout", "20s") == self.LINE * 64, True)
        self.make_room()
        self.assertEqual(
            self.recv("-n", sent - 64, "--timeout", "20s") == self.LINE * (sent - 64), True)
        wait_until(lambda: self.info()["alarm"] == "", "all is well")


class LoopTest(DiskTest):
    BYTES = 96 << 20

    @classmethod
    def prepare(cls) -> None:
        cls.mount_point = Path(cls.folder.name) / "disk"
        cls.mount_point.mkdir()
        failing = subprocess.Popen([FAILING_DISK, cls.mount_point, str(cls.BYTES)])
        cls.addClassCleanup(cls.end_of_disk, failing)
        image = cls.mount_point / "disk"
        wait_until(lambda: failing.poll() is not None or image.exists(), "the disk")
        # The disk's process must not hold the mount of the file system on it: killed, it would wait
        # in that mount's end for its own answers, for ever.
        if problem := own_mounts():
            raise AssertionError(problem)
        run("mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, cls.state)
        cls.addClassCleanup(run, "umount", "-l", cls.state)
        cls.state.chmod(0o700)

    @classmethod
    def end_of_disk(cls, failing: subprocess.Popen) -> None:
        run("umount", "-l", cls.mount_point)
        # Its own namespace has the mount, too.
        failing.terminate()
        failing.wait(WATCHDOG_SECONDS)

    @classmethod
    def tell(cls, line: str) -> None:
        with open(cls.mount_point / "control", "wb", buffering=0) as control:
            control.write(line.encode())


class FailingTest(LoopTest):
    def check_failure(self, confirmed: int) -> None:
        wait_until(lambda: self.info()["journal"] == "failed", "the failure is seen")
        info = self.info()
        self.assertIn("its journal failed", info["alarm"])
        self.assertRegex(info["alarm"], "Input/output error|Read-only file system")
        self.assertRegex(self.said(), rf"queue {self.queue}: its journal failed")
        self.assertEqual(info["durable"], confirmed)
        # It promises nothing more, and says so at once.
        more = self.shmq("send", self.queue, "--confirm", "durable", "more", status=FAILED)
        self.assertIn(b"nothing more is confirmed", more.stderr)

    def check(self, what: str) -> None:
        self.create("--durability", "durable")
        self.shmq("send", self.queue, "--confirm", "durable", input=b"one\ntwo\n")
        self.tell(f"fail {what}")
        sender = self.feed(b"lost\n", "--confirm", "durable")
        self.assertEqual(sender.wait(WATCHDOG_SECONDS), FAILED)
        self.check_failure(confirmed=2)
        # One that answers again proves nothing: no confirm comes late.
        self.tell("heal")
        self.check_failure(confirmed=2)
        self.assertEqual(self.recv("-n", 3, "--timeout", "30s"), b"one\ntwo\nlost\n")


class FailingWriteTest(FailingTest):
    def test_a_disk_that_does_not_write(self) -> None:
        self.check("write")


class FailingFlushTest(FailingTest):
    def test_a_disk_that_does_not_flush(self) -> None:
        self.check("flush")


class ShutDownTest(LoopTest):
    def test_a_file_system_that_is_gone(self) -> None:
        self.create("--capacity", 64, "--overflow", "spill", "--when-full", "reject")
        self.shmq("send", self.queue, input=b"one\n" * 1000)
        directory = os.open(self.state, os.O_RDONLY)
        fcntl.ioctl(directory, EXT4_SHUTDOWN, struct.pack("I", EXT4_SHUTDOWN_NO_LOG))
        os.close(directory)
        self.shmq("send", self.queue, input=b"two\n" * 100_000, status=FAILED)
        wait_until(lambda: self.info()["journal"] == "failed", "the failure is seen")
        self.assertIn("it holds what its ring holds", self.info()["alarm"])
        self.assertIn("Input/output error", self.info()["alarm"])
        self.assertEqual(self.recv("-n", 64), b"one\n" * 64)  # the ring goes on


class PowerCutTest(LoopTest):
    """Images of the disk under load, of which each sector not flushed is there or not."""

    def load(self, ended: threading.Event) -> None:
        """Sends and confirms; what was confirmed at any moment is `confirmed`."""
        while not ended.is_set():
            batch = random.Random(self.confirmed).randrange(1, 60)
            data = b"".join(message(self.confirmed + n) + b"\n" for n in range(batch))
            done = subprocess.run(self.command("send", self.queue, "--confirm", "durable"),
                                  input=data, capture_output=True, check=False)
            if done.returncode != 0:
                self.broken = done.stderr
                return
            self.confirmed += batch

    def consume(self, ended: threading.Event) -> None:
        while not ended.is_set():
            done = subprocess.run(self.command("recv", self.queue, "-n", "40", "--timeout", "50ms"),
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self.received.update(int(line.split()[0]) for line in done.stdout.splitlines())
            time.sleep(0.02)

    def read_image(self, image: Path, *queues: str) -> list[list[int]]:
        """What a daemon on this image gives out of each queue, by number."""
        place = Path(self.folder.name) / "after"
        place.mkdir(mode=0o700)
        run("mount", "-o", "loop", image, place)  # replays the file system's own journal
        socket = f"{self.folder.name}/after.socket"
        log = open(f"{self.folder.name}/after.log", "ab")
        daemon = subprocess.Popen([BIN_DIR / "shmqd", "--socket", socket, "--state-dir", place],
                                  stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        came = []
        try:
            wait_until(lambda: os.path.exists(socket) or daemon.poll() is not None, "a daemon")
            for queue in queues:
                done = subprocess.run([BIN_DIR / "shmq", "--socket", socket, "recv", queue],
                                      stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                      timeout=WATCHDOG_SECONDS)
                self.assertEqual(done.stderr, b"")
                came.append([int(line.split()[0]) for line in done.stdout.splitlines()])
                for line in done.stdout.splitlines():
                    self.assertEqual(line, message(int(line.split()[0])), "damaged")
        finally:
            daemon.terminate()
            daemon.wait(WATCHDOG_SECONDS)
            log.close()
            run("umount", place)
            place.rmdir()
        self.assertNotIn("damaged", Path(f"{self.folder.name}/after.log").read_text())
        return came

    def check_image(self, image: Path, confirmed: int, acked: set[int]) -> None:
        (came,) = self.read_image(image, self.queue)
        self.assertEqual(came, sorted(set(came)), "order, or a double")
        self.assertEqual(set(range(confirmed)) - set(came) - acked, set(), "confirmed and missing")

    def test_snapshots_under_load_keep_what_was_confirmed(self) -> None:
        print(f"SHMQ_TEST_SEED={SEED}")
        chance = random.Random(SEED)
        self.confirmed = 0
        self.received: set[int] = set()
        self.broken = b""
        self.create("--durability", "durable", "--capacity", 256)
        ended = threading.Event()
        work = [threading.Thread(target=self.load, args=(ended,)),
                threading.Thread(target=self.consume, args=(ended,))]
        for thread in work:
            thread.start()
        taken = []
        try:
            for number in range(SNAPSHOTS):
                time.sleep(chance.uniform(0.1, 0.6))
                confirmed = self.confirmed
                image = Path(self.folder.name) / f"image{number}"
                self.tell(f"snapshot {chance.randrange(1 << 60)} {image}")
                time.sleep(0.2)  # so that whatever was taken before is in the books
                taken.append((image, confirmed, set(self.received)))
                if ALL:
                    self.check_image(*taken.pop())
                    image.unlink()
        finally:
            ended.set()
            for thread in work:
                thread.join()
        self.assertEqual(self.broken, b"")
        for image, confirmed, acked in taken:
            self.check_image(image, confirmed, acked | self.received)
        self.assertGreater(self.confirmed, 0)

    def test_what_a_dead_letter_queue_has_offered_is_in_its_source_no_more(self) -> None:
        print(f"SHMQ_TEST_SEED={SEED}")
        chance = random.Random(SEED)
        dead = f"{self.queue}.dlq"
        self.create("--durability", "durable", "--capacity", 4096)
        self.shmq("create", dead, "--durability", "durable")
        sent = 4000
        self.shmq("send", self.queue, "--confirm", "durable",
                  input=b"".join(message(number) + b"\n" for number in range(sent)))
        # Not all at once, so that there is always one between the two.
        mover = self.start("mv", self.queue, dead, "--rate", 2000)
        taker = self.start("recv", dead, "-n", sent)
        moments = set(chance.sample(range(sent), SNAPSHOTS + 3))
        offered: set[int] = set()
        taken = []
        for line in taker.stdout:
            offered.add(int(line.split()[0]))
            if len(offered) in moments:  # at once: what should be on the disk is there already
                image = Path(self.folder.name) / f"image{len(offered)}"
                self.tell(f"snapshot {chance.randrange(1 << 60)} {image}")
                taken.append((image, set(offered)))
        self.assertEqual(mover.wait(WATCHDOG_SECONDS), 0, mover.stderr.read())
        self.assertEqual(taker.wait(WATCHDOG_SECONDS), 0, taker.stderr.read())
        self.shmq("rm", dead, "--force")
        for image, before in taken:
            here, there = map(set, self.read_image(image, self.queue, dead))
            self.assertEqual(here & before, set(), "offered by the one and still in the other")
            self.assertEqual(here & there, set(), "in both")
            self.assertEqual(set(range(sent)) - here - there - offered, set(), "missing")


def main() -> None:
    problem = own_mounts()
    if problem:
        print(f"SKIPPED: {problem}")
        sys.exit(77)
    lacking = lack_of_loop()
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite()
    classes = [FullDiskTest]
    if not lacking:
        classes += [FailingWriteTest, FailingFlushTest, ShutDownTest, PowerCutTest]
    wanted = sys.argv[1:]
    for each in classes:
        if not wanted or each.__name__ in wanted:
            suite.addTests(loader.loadTestsFromTestCase(each))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if not result.wasSuccessful():
        sys.exit(1)
    if lacking:
        print(f"SKIPPED, all on a loop device: {lacking}")
        sys.exit(77)


if __name__ == "__main__":
    main()
