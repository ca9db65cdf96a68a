"""shmq journal: ls, verify and dump on the golden file, whole and damaged; no daemon."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from cli_support import BIN_DIR, DONE, FAILED, NOTHING, ROOT, USAGE

GOLDEN = ROOT / "tests" / "fault" / "golden" / "v1.journal"


class JournalTest(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="shmq-journal-")
        self.addCleanup(self.directory.cleanup)
        self.file = Path(self.directory.name) / "v1.journal"
        shutil.copy(GOLDEN, self.file)

    def shmq(self, *words: object, status: int = DONE) -> str:
        # No daemon is there, and none may be started: the socket cannot be.
        environment = {**os.environ, "SHMQ_SOCKET": "/dev/null/none"}
        done = subprocess.run([BIN_DIR / "shmq", "journal", *map(str, words)], check=False,
                              capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def damage(self, offset: int) -> None:
        content = bytearray(self.file.read_bytes())
        content[offset] ^= 1
        self.file.write_bytes(content)

    def test_ls(self) -> None:
        before = self.file.read_bytes()
        text = self.shmq("ls", self.directory.name)
        self.assertRegex(text, r"(?m)^v1\.journal +jobs +durable +log +1 +4 +1 ")
        [file] = json.loads(self.shmq("ls", "--json", self.file))
        self.assertEqual((file["queue"], file["last"], file["sealed"]), ("jobs", 4, True))
        self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual(os.listdir(self.directory.name), ["v1.journal"])

    def test_verify_tells_damage_by_file_offset_and_records(self) -> None:
        self.assertIn("whole: 0 messages wait", self.shmq("verify", self.directory.name))
        self.damage(0x1048)  # the settled record; the counts record after it says it was synced
        text = self.shmq("verify", self.directory.name, status=FAILED)
        self.assertIn("v1.journal: offset 4168, 64 bytes, 1 record from 2: no valid record", text)
        report = json.loads(self.shmq("verify", "--json", self.directory.name, status=FAILED))
        self.assertFalse(report["whole"])
        self.assertEqual(report["damage"][0]["offset"], 4168)

    def test_dump(self) -> None:
        text = self.shmq("dump", self.file)
        self.assertIn("message  lsn 1, sequence 42, 5 bytes, position 7", text)
        self.assertIn("seal", text)
        self.assertNotIn("68 65 6c 6c 6f", text)
        self.assertIn("68 65 6c 6c 6f", self.shmq("dump", "--payload", self.directory.name))
        self.damage(0x1000)
        self.assertIn("no valid record up to 4168", self.shmq("dump", self.file))

    def test_dump_of_a_moved_message(self) -> None:
        text = self.shmq("dump", GOLDEN.with_name("v2_moved.journal"))
        self.assertIn("redelivered, moved: 5 bytes, lsn 9 of queue 5566" + 28 * "0", text)

    def test_a_damaged_header(self) -> None:
        self.damage(8)
        self.assertIn("header is damaged", self.shmq("verify", self.file, status=FAILED))
        self.assertIn("header is damaged", self.shmq("dump", self.file))

    def test_a_queue_by_its_name(self) -> None:
        state = Path(self.directory.name) / "state"
        for identity, name in (("0" * 32, "jobs"), ("1" * 32, "a/b"), ("2" * 32, "a/b")):
            queue = state / "queues" / identity
            queue.mkdir(parents=True)
            (queue / "definition.json").write_text(json.dumps({"name": name}))
        (state / "queues" / ("3" * 32)).mkdir()
        (state / "queues" / ("0" * 32) / "definition.json~").write_text("{")
        shutil.copy(GOLDEN, state / "queues" / ("0" * 32))
        self.assertIn("whole", self.shmq("verify", "jobs", "--state-dir", state))
        self.assertIn("no queue 'job' has files in",
                      self.shmq("ls", "job", "--state-dir", state, status=FAILED))
        self.assertIn("several were called 'a/b'",
                      self.shmq("ls", "a/b", "--state-dir", state, status=FAILED))
        self.assertIn("No such file",
                      self.shmq("ls", "jobs", "--state-dir", state / "none", status=FAILED))

    def test_refusals(self) -> None:
        for words in ([], ["ls"], ["mend", self.file], ["ls", self.file, "x"],
                      ["dump", "--json", self.file], ["ls", "--payload", self.file]):
            self.shmq(*words, status=USAGE)
        missing = Path(self.directory.name) / "none"
        self.assertIn("no such file", self.shmq("ls", missing, status=FAILED))
        self.file.unlink()
        for verb in ("ls", "verify", "dump"):
            self.shmq(verb, self.directory.name, status=NOTHING)


if __name__ == "__main__":
    unittest.main()
