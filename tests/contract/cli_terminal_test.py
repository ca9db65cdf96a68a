#!/usr/bin/env python3
"""The CLI on a terminal: colours where they are wanted, help as wide as the terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import unittest
from typing import Any

from cli_support import CliTest, main

ESCAPE = "\x1b["


class TerminalTest(CliTest):
    def on_terminal(self, *words: Any, columns: int = 200, **environment: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=theirs,
                                   stderr=subprocess.PIPE,
                                   env={**kept, "TERM": "xterm", **environment})
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # EIO: nobody has the other end any more
            pass
        os.close(ours)
        errors = process.communicate()[1]
        self.assertEqual((process.returncode, errors), (0, b""), words)
        return text.decode().replace("\r\n", "\n")

    def test_colours_only_where_they_are_wanted(self) -> None:
        self.create()
        for words in (["ls"], ["info", self.queue], ["status"], ["pending", self.queue]):
            plain = self.shmq(*words).stdout.decode()
            self.assertNotIn(ESCAPE, plain, words)
            coloured = self.on_terminal(*words)
            self.assertIn(ESCAPE, coloured, words)
            for refusal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
                self.assertNotIn(ESCAPE, self.on_terminal(*words, **refusal), words)
            self.assertIn(ESCAPE, self.on_terminal(*words, NO_COLOR=""), words)
        self.assertNotIn(ESCAPE, self.on_terminal("ls", "--json"))

    def test_help_is_as_wide_as_the_terminal(self) -> None:
        for words in ((), ("create",), ("recv",)):
            wide = self.shmq(*words, "--help").stdout.decode()
            for columns in (60, 80, 120):
                text = self.on_terminal(*words, "--help", columns=columns)
                prose = text.partition("Example:")[0]
                long = [line for line in prose.splitlines() if len(line) > columns]
                self.assertEqual(long, [], f"{columns} columns")
                self.assertEqual(text.split(), wide.split(), "the same words")


if __name__ == "__main__":
    main()
