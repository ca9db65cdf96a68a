#!/usr/bin/env python3
"""shmq top in a terminal of its own: what is on the screen, keys, resizing, and its end."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from cli_support import (DONE, FAILED, NO_DAEMON, WATCHDOG_SECONDS, CliTest, main, wait_until)

SEQUENCE = re.compile(rb"\x1b\[([?>!]?)([\d;]*)([A-Za-z@`])|\x1b[()][A-Z0-9]|\x1b[=>78M]|"
                      rb"\x1b\][^\x07]*\x07")


class Terminal:
    """Just enough of one: text, the cursor, clearing, and repeating, as TERM=xterm has them."""

    def __init__(self, command: list, columns: int, lines: int):
        self.ours, theirs = pty.openpty()
        self.resize(columns, lines)
        self.alternate = False
        environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.pending = b""

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        """Takes what comes in that time, at most; false at the end."""
        if not select.select([self.ours], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.ours, 65536)
        except OSError:
            return False
        self.feed(self.pending + piece)
        return True

    def feed(self, data: bytes) -> None:
        self.pending = b""
        at = 0
        while at < len(data):
            if data[at] == 0x1b:
                match = SEQUENCE.match(data, at)
                if match is None:
                    self.pending = data[at:]
                    return
                at = match.end()
                if match[3]:
                    self.control(match[1].decode(), match[2].decode(), match[3].decode())
                continue
            length = 1 if data[at] < 0x80 else 2 if data[at] < 0xe0 else 3
            self.put(data[at:at + length].decode(errors="replace"))
            at += length

    def put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row = min(self.row + 1, self.lines - 1)
        elif character == "\b":
            self.column = max(self.column - 1, 0)
        elif character >= " ":
            self.last = character
            if self.column < self.columns and self.row < self.lines:
                self.cells[self.row][self.column] = character
            self.column += 1

    def control(self, mark: str, parameters: str, what: str) -> None:
        numbers = [int(number or 0) for number in parameters.split(";")]
        first = numbers[0] or 1
        if mark == "?":
            if 1049 in numbers:
                self.alternate = what == "h"
        elif what == "H":
            self.row = first - 1
            self.column = (numbers[1] or 1) - 1 if len(numbers) > 1 else 0
        elif what == "d":
            self.row = first - 1
        elif what == "G":
            self.column = first - 1
        elif what in "ABCD":
            self.row += first * (what == "B") - first * (what == "A")
            self.column += first * (what == "C") - first * (what == "D")
        elif what == "K":
            begin, end = (0, self.column + 1) if numbers[0] == 1 else (self.column, self.columns)
            self.cells[self.row][begin:end] = [" "] * (end - begin)
        elif what == "J":
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
            for row in range(self.row + 1, self.lines):
                self.cells[row] = [" "] * self.columns
        elif what == "X":
            self.cells[self.row][self.column:self.column + first] = [" "] * first
        elif what == "P":
            row = self.cells[self.row]
            del row[self.column:self.column + first]
            row.extend(" " * (self.columns - len(row)))
        elif what == "@":
            row = self.cells[self.row]
            row[self.column:self.column] = [" "] * first
            del row[self.columns:]
        elif what == "b":
            for _ in range(first):
                self.put(self.last)
        elif what == "L":
            for _ in range(first):
                self.cells.insert(self.row, [" "] * self.columns)
                self.cells.pop()
        elif what == "M":
            for _ in range(first):
                del self.cells[self.row]
                self.cells.append([" "] * self.columns)

    def text(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.cells]

    def until(self, condition, what: str) -> list[str]:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while not condition(self.text()):
            if time.monotonic() > deadline or not self.read(0.1):
                raise AssertionError(f"this never came: {what}; on the screen:\n"
                                     + "\n".join(self.text()))
        return self.text()

    def until_shown(self, *texts: str) -> list[str]:
        return self.until(lambda lines: all(any(re.search(text, line) for line in lines)
                                            for text in texts), f"{texts}")

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while self.read(0.1) and time.monotonic() < deadline:
            pass
        status = self.process.wait(WATCHDOG_SECONDS)
        os.close(self.ours)
        return status


class TopTest(CliTest):
    def top(self, *words: str, columns: int = 80, lines: int = 24) -> Terminal:
        terminal = Terminal(self.command("top", "--interval", "100ms", *words), columns, lines)
        self.addCleanup(lambda: terminal.process.poll() is None and terminal.process.kill())
        return terminal

    def test_a_list_that_fits_80_columns(self) -> None:
        self.shmq("create", "alpha/with-a-name-longer-than-any-terminal-would-like-to-show")
        self.shmq("create", "beta")
        self.shmq("send", "beta", input=b"m\n" * 1000)
        terminal = self.top("--sort", "name")
        lines = terminal.until_shown(r"^alpha/with-a-na", r"^beta +1\.0k +0 ", r"^q quit")
        self.assertRegex(lines[0], r"^shmq top - pid \d+, up .*2 queues, every 100ms, by NAME$")
        self.assertRegex(lines[1], r"^NAME +READY +HELD +IN/s +OUT/s +OLDEST +UNACK +P99 +"
                                   r"SPILL +CONS$")
        self.assertTrue(all(len(line) <= 80 for line in lines))
        self.assertTrue(lines[-1].startswith("q quit"))
        self.assertTrue(terminal.alternate)
        terminal.press("q")
        self.assertEqual(terminal.end(), DONE)
        self.assertFalse(terminal.alternate, "the screen is as it was")

    def test_sort_turn_and_filter(self) -> None:
        for name, count in (("s.one", 1), ("s.three", 3), ("s.two", 2)):
            self.shmq("create", name)
            self.send_many(name, count)

        def order(lines: list[str]) -> list[str]:
            return [line.split()[0] for line in lines[2:-1] if line.startswith("s.")]

        terminal = self.top("--filter", "s.")
        terminal.until(lambda lines: order(lines) == ["s.three", "s.two", "s.one"], "by ready")
        terminal.press("r")
        terminal.until(lambda lines: order(lines) == ["s.one", "s.two", "s.three"], "turned")
        terminal.press("/wo\r")
        terminal.until(lambda lines: order(lines) == [], "nothing with s.wo")
        terminal.until_shown("no queue matches the filter")
        terminal.press("/\x1b")
        terminal.until(lambda lines: "s.two" in order(lines), "all again")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.end(), DONE)
        self.assertFalse(terminal.alternate)

    def send_many(self, queue: str, count: int) -> None:
        self.shmq("send", queue, input=b"m\n" * count)

    def test_one_queue_with_its_histogram_and_consumers(self) -> None:
        self.create()
        self.send_many(self.queue, 200)
        self.recv("-n", 150)
        holder = self.start("recv", self.queue, "-n", 1, "--exec", "exec sleep 30 >&- 2>&-")
        self.wait_for("leased", 1)
        os.kill(holder.pid, signal.SIGSTOP)
        terminal = self.top("--filter", self.queue)
        terminal.until_shown(rf"^{self.queue[:12]}")
        terminal.press("\r")
        lines = terminal.until_shown(r"ready 49  returned 0  leased 1 ", r"IN THE QUEUE",
                                     r"^ +<[\d.]+(us|ms|s|m) +#+ +\d", r"^ROLE +PID +STATE",
                                     rf"^consumer +{holder.pid} +T +1 ")
        self.assertTrue(all(len(line) <= 80 for line in lines))
        terminal.press("\x1b")
        terminal.until_shown(r"^NAME +READY")
        terminal.press("q")
        self.assertEqual(terminal.end(), DONE)

    def test_resized(self) -> None:
        self.create()
        terminal = self.top()
        terminal.until_shown(r"^NAME +READY .*CONS$", rf"^{self.queue} ")
        terminal.resize(60, 10)
        lines = terminal.until_shown(r"^NAME +READY +HELD +IN/s +OUT/s", rf"^{self.queue} ",
                                     r"^q quit")
        self.assertTrue(all(len(line) <= 60 for line in lines))
        terminal.resize(140, 40)
        terminal.until_shown(r"^NAME +READY .*P99 +SPILL +CONS$", rf"^{self.queue} ")
        terminal.resize(5, 2)
        terminal.until_shown("^shmq")
        terminal.press("q")
        self.assertEqual(terminal.end(), DONE)

    def test_no_terminal_no_queue_no_daemon(self) -> None:
        done = self.shmq("top", status=FAILED)
        self.assertIn("no terminal", done.stderr.decode())
        terminal = self.top("nowhere-at-all")
        self.assertEqual(terminal.end(), FAILED)
        self.assertFalse(terminal.alternate)
        terminal = self.top("--socket", f"{self.directory.name}/nobody")
        self.assertIn(terminal.end(), (NO_DAEMON, 2))

    def test_json(self) -> None:
        self.create()
        self.send_many(self.queue, 100)
        self.recv("-n", 70)
        (look,) = self.json("top", self.queue, "--interval", "10ms")
        self.assertEqual((look["name"], look["ready"], look["consumers"]), (self.queue, 30, 0))
        self.assertGreater(look["oldest_ready_ns"], 0)
        self.assertIsNone(look["oldest_unacked_ns"])
        self.assertGreater(look["time_in_queue"]["samples"], 0)


class DaemonGoesTest(CliTest):
    def test_it_says_so_and_goes_on_with_the_next(self) -> None:
        self.create()
        terminal = Terminal(self.command("top", "--interval", "100ms"), 80, 24)
        self.addCleanup(lambda: terminal.process.poll() is None and terminal.process.kill())
        terminal.until_shown(rf"^{self.queue[:12]}")
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.json("status")["pid"] != before, "the next daemon")
        after = self.json("status")["pid"]
        terminal.until_shown(rf"pid {after},", rf"^{self.queue[:12]}")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), DONE)


if __name__ == "__main__":
    main()
