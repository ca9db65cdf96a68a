#!/usr/bin/env python3
"""The man pages name every verb and every option of the programs, and no other."""

import re
import subprocess
import unittest
from pathlib import Path

from cli_support import BIN_DIR, ROOT, main

PAGES = ROOT / "docs" / "man"
LONG_OPTION = re.compile(r"--[a-z][a-z-]*")


def page(name: str) -> str:
    """Its text, without what only matters to the typesetter."""
    text = (PAGES / name).read_text().replace(r"\-", "-")
    return re.sub(r"\\f.", "", text)


def options_of(text: str) -> set[str]:
    return set(LONG_OPTION.findall(text))


def help_of(*words: str) -> str:
    done = subprocess.run([BIN_DIR / words[0], *words[1:], "--help"], capture_output=True,
                          text=True, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


class ManPagesTest(unittest.TestCase):
    def check(self, name: str, helped: set[str], elsewhere: set[str]) -> None:
        written = options_of(page(name))
        self.assertEqual(helped - written, set(), f"{name} says nothing of these")
        self.assertEqual(written - helped - elsewhere, set(), f"only {name} knows these")

    def test_shmqd(self) -> None:
        self.check("shmqd.8", options_of(help_of("shmqd")), {"--now"})  # systemctl's

    def test_shmq_keeper(self) -> None:
        self.check("shmq-keeper.8", options_of(help_of("shmq-keeper")), set())

    def test_shmq(self) -> None:
        verbs = re.findall(r"^  ([a-z]+) ", help_of("shmq").partition("Options:")[2], re.M)
        self.assertGreater(len(verbs), 10)
        helped = options_of(help_of("shmq"))
        for verb in verbs:
            self.assertRegex(page("shmq.1"), rf"(?m)^\.B .*\b{verb}\b", verb)
            helped |= options_of(help_of("shmq", verb).partition("Example:")[0])
        self.check("shmq.1", helped, set())
        entries = page("shmq.1").partition(".SH VERBS")[2].partition(".SH OPTIONS")[0]
        written = {verb for line in re.findall(r"(?m)^\.TP\n\.B ([a-z|]+)", entries)
                   for verb in line.split("|")}
        self.assertEqual(written - set(verbs), set(), "only shmq.1 knows these verbs")
        self.assertEqual(set(verbs) - written, set(), "shmq.1 has no entry of these verbs")

    def test_each_page_is_installed(self) -> None:
        sections = {path.suffix for path in PAGES.iterdir()}
        written = Path(ROOT / "cmake" / "install.cmake").read_text()
        listed = re.search(r"foreach\(section ([\d ]+)\)", written)
        self.assertEqual(sections, {f".{number}" for number in listed[1].split()})


if __name__ == "__main__":
    main()
