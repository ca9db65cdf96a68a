"""The harness of `./dev bench`: that its report has all its parts and is true to its rounds. Never how
fast anything is."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN_DIR = Path(os.environ["SHMQ_TEST_BIN_DIR"])
SHORT = ["--quick", "--no-priority", "--seconds", "0.1", "--subjects", "boost,pipe"]


def bench(*arguments: str, bin_dir: Path = BIN_DIR) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "bench/run", bin_dir, *arguments], capture_output=True, text=True,
                          timeout=100, check=False)


class BenchTest(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.out = Path(self.directory.name)

    def report(self, *arguments: str) -> tuple[str, dict]:
        done = bench(*SHORT, "--out", str(self.out), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, json.loads((self.out / "report.json").read_text())

    def test_every_part_is_there(self) -> None:
        text, report = self.report("--rounds", "2", "--only", "latency/32", "--only", "throughput/64",
                                   "--only", "wake/100")
        for name in ("processor", "kernel", "compiler", "real-time priority"):
            self.assertTrue(report["machine"][name], name)
        subjects = {subject["name"]: subject for subject in report["subjects"]}
        for name in ("bare hand-over", "bare stream", "shmq exclusive", "shmq shared", "Boost message_queue", "pipe"):
            self.assertTrue(subjects[name]["guarantees"] and subjects[name]["setting"], name)
        self.assertNotIn("Unix stream socket", subjects)
        for work in report["works"]:
            for row in work["rows"]:
                self.assertFalse(row["failed"], row)
                self.assertEqual(len(row["figures"]), 2)
                self.assertEqual(len(row["stolen"]), 2)
                self.assertGreater(row["low"], 0)
                self.assertTrue(row["low"] <= row["median"] <= row["high"])
                self.assertGreater(row["of_limit"], 0)
            self.assertIn(work["title"], text)
        self.assertEqual({one["verdict"].split()[0] for one in report["targets"]} - {"met", "missed"}, {"not"})

    def test_the_page_needs_nothing_else(self) -> None:
        self.report("--rounds", "1", "--only", "throughput/32")
        page = (self.out / "report.html").read_text()
        self.assertIn("<svg", page)
        self.assertIn("shmq exclusive", page)
        self.assertIsNone(re.search(r"(src|href)=|https?:|@import|<script", page))

    def test_an_older_report_is_compared_with(self) -> None:
        _, old = self.report("--rounds", "1", "--only", "latency/32")
        older = self.out / "old.json"
        for work in old["works"]:
            for row in work["rows"]:
                row.update(median=row["median"] / 1e6, low=row["low"] / 1e6, high=row["high"] / 1e6)
        older.write_text(json.dumps(old))
        text, _ = self.report("--rounds", "1", "--only", "latency/32", "--compare", str(older))
        self.assertRegex(text, r"\* latency/32 +shmq exclusive")

    def test_who_is_missing_is_named_and_the_run_goes_on(self) -> None:
        fewer = self.out / "bin"
        fewer.mkdir()
        for program in BIN_DIR.iterdir():
            if program.name != "peer_boost":
                (fewer / program.name).symlink_to(program)
        done = bench(*SHORT, "--rounds", "1", "--only", "latency/32", "--out", str(self.out), bin_dir=fewer)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"Boost message_queue +not built: libboost-dev is missing")
        self.assertRegex(done.stdout, r"pipe +[0-9]")

    def test_a_section_that_is_none_is_refused(self) -> None:
        done = bench("--only", "nonsense")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nonsense", done.stderr)


if __name__ == "__main__":
    unittest.main()
