#!/usr/bin/env python3
"""Completion in the shells themselves: verbs, options, names of queues."""

import os
import pty
import select
import shutil
import subprocess
import time
import unittest
from pathlib import Path

from cli_support import BIN_DIR, ROOT, WATCHDOG_SECONDS, CliTest, main

COMPLETION = ROOT / "cli" / "completion"


class CompletionTest(CliTest):
    def setUp(self) -> None:
        super().setUp()
        self.environment = {**os.environ, "PATH": f"{BIN_DIR}:{os.environ['PATH']}",
                            "SHMQ_SOCKET": self.socket, "HOME": self.directory.name,
                            "LC_ALL": "C.UTF-8"}
        for name in ("invoices", "images/large"):
            self.shmq("create", name, "--if-missing")

    def check(self, complete) -> None:
        """`complete` gives the words that a shell offers for a line that ends where it completes."""
        self.assertLessEqual({"create", "consumers", "chaos"}, set(complete("shmq c")))
        self.assertIn("consumers", complete("shmq con"))
        self.assertIn("images/large", complete("shmq info im"))
        self.assertNotIn("invoices", complete("shmq info im"))
        self.assertIn("--capacity", complete("shmq create x --ca"))
        self.assertIn("invoices", complete("shmq mv images/large inv"))
        self.assertIn("redrive", complete("shmq dlq red"))
        self.assertIn("invoices", complete("shmq dlq redrive inv"))

    def test_bash(self) -> None:
        def complete(line: str) -> list[str]:
            words = line.split(" ")
            script = (f". {COMPLETION}/shmq.bash; COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}');"
                      f" COMP_CWORD={len(words) - 1}; _shmq; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
            done = subprocess.run(["bash", "-c", script], env=self.environment, check=True,
                                  capture_output=True, text=True, timeout=WATCHDOG_SECONDS)
            self.assertEqual(done.stderr, "")
            return done.stdout.split()
        self.check(complete)
        self.assertEqual(complete("shmq create x --overflow dr"), ["drop-oldest"])
        self.assertEqual(complete("shmq --color al"), ["always"])

    @unittest.skipIf(shutil.which("fish") is None, "no fish")
    def test_fish(self) -> None:
        def complete(line: str) -> list[str]:
            done = subprocess.run(
                ["fish", "-c", f"source {COMPLETION}/shmq.fish; complete -C '{line}'"],
                env=self.environment, check=True, capture_output=True, text=True,
                timeout=WATCHDOG_SECONDS)
            return [offered.split("\t")[0] for offered in done.stdout.splitlines()]
        self.check(complete)

    @unittest.skipIf(shutil.which("zsh") is None, "no zsh")
    def test_zsh(self) -> None:
        """In a terminal: only there has zsh its line editor, and with it completion."""
        start = Path(self.directory.name) / "zshrc"
        start.write_text(f"fpath=({COMPLETION} $fpath); autoload -U compinit; compinit -u -D\n"
                         "setopt no_beep; PS1='> '; zstyle ':completion:*' list-colors ''\n"
                         "unset zle_bracketed_paste; LISTMAX=1000\n")
        ours, theirs = pty.openpty()
        shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
                                 env={**self.environment, "TERM": "dumb"}, start_new_session=True)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)

        def until(mark: str, keys: str) -> str:
            os.write(ours, keys.encode())
            text, deadline = "", time.monotonic() + WATCHDOG_SECONDS
            while mark not in text:
                self.assertLess(time.monotonic(), deadline, text)
                if select.select([ours], [], [], 0.1)[0]:
                    text += os.read(ours, 65536).decode(errors="replace")
            return text

        until("ready-now", f"source {start}; echo ready-n''ow\n")

        # What is unique is put on the line: the line is shown again by `echo`.
        def complete(line: str) -> list[str]:
            text = until("END-OF-LINE", f"{line}\t\x01echo BEGIN \x05 END-OF'-LINE'\n")
            return text.rpartition("BEGIN shmq")[2].split()

        for line, word in (("shmq consum", "consumers"), ("shmq info im", "images/large"),
                           ("shmq create x --capa", "--capacity"),
                           ("shmq mv images/large inv", "invoices"),
                           ("shmq dlq redr", "redrive"), ("shmq dlq redrive inv", "invoices")):
            self.assertIn(word, complete(line), line)

    def test_without_a_daemon_none_is_started(self) -> None:
        self.environment["SHMQ_SOCKET"] = f"{self.directory.name}/nobody"
        script = (f". {COMPLETION}/shmq.bash; COMP_WORDS=(shmq info ''); COMP_CWORD=2; _shmq;"
                  " echo ${#COMPREPLY[@]}")
        done = subprocess.run(["bash", "-c", script], env=self.environment, check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stdout, "0\n")
        self.assertFalse(os.path.exists(self.environment["SHMQ_SOCKET"]))


if __name__ == "__main__":
    main()
