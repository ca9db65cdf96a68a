#!/usr/bin/env python3
"""Style as a test: sizes, include direction, and the doors of the floor plan.

Usage: tidy.py [ROOT]. Prints `file:line: what is wrong; the remedy` for each finding and ends with
status 1 if there is one. The rules themselves are tested by tidy_test.py.
"""

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Callable, Iterator, NamedTuple

from cpp_source import Function, blank_comments, find_functions

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

CODE_SUFFIXES = {".cpp", ".hpp", ".h", ".c"}
SIZED_SUFFIXES = CODE_SUFFIXES | {".py", ".sh"}

# Room -> rooms it may include besides itself: the arrows of the floor plan. A room is a folder
# (`daemon/journal`) or, for the CLI's narrow doors, a file without its ending (`shm/audit`).
ALLOWED = {
    "include": set(),
    "base": set(),
    "shm": {"base"},
    "wire": {"base"},
    "client": {"include", "shm", "wire", "base"},
    # The other languages' doors stand on the public C++ API alone.
    "c": {"include"},
    "python": {"include"},
    "daemon": {"shm", "wire", "base"},
    # Chaos starts daemons of its own: the library knows where their program is. Who looks into a
    # process that holds queues reads the daemon's catalogue there.
    "cli": {"include", "client/session", "client/daemon_start", "client/endpoint", "shm/audit",
            "shm/dump", "shm/histogram", "shm/layout", "shm/segment", "daemon/catalogue_format",
            "daemon/journal"},
    # A daemon to measure is a test's daemon: the fixture is shared.
    "bench": {"include", "shm", "base", "daemon/journal", "tests/support"},
    "docs": {"include"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

C_HEADERS = {"stdint.h", "stddef.h", "stdbool.h"}
SYSTEM_CALL_HEADER = re.compile(
    r"^(unistd|fcntl|sched|poll|pthread|signal|spawn)\.h$|^(sys|linux|asm)/")
WALL_CLOCK = re.compile(r"\b(system_clock|CLOCK_REALTIME\w*|CLOCK_TAI|gettimeofday)\b")
WALL_CLOCK_FILES = {"daemon/journal/wall_clock.cpp"}  # times that are written to disk
LIBURING_FILES = {"daemon/io/uring.cpp", "daemon/journal/uring_engine.cpp"}
SYSTEM_CALL_FILES = {"libshmq/shm/segment.cpp", "libshmq/shm/wait.cpp"}


class Finding(NamedTuple):
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Source:
    """One tracked text file, with what several rules want to know about it."""

    def __init__(self, path: str, text: str):
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.suffix = PurePosixPath(path).suffix
        self.is_code = self.suffix in CODE_SUFFIXES
        self.code = blank_comments(text) if self.is_code else ""

    def includes(self) -> Iterator[tuple[int, str, str]]:
        """(line, '<' or '"', what) for each include; comments do not count."""
        commented = blank_comments(self.text, keep_strings=True)
        for number, line in enumerate(commented.splitlines(), 1):
            if match := INCLUDE.match(line):
                yield number, match[1], match[2]

    def functions(self) -> list[Function]:
        return find_functions(self.code)


class Tree:
    """All files, so that a rule can ask whether an include names one of ours."""

    def __init__(self, sources: list[Source]):
        self.sources = sources
        self.paths = {source.path for source in sources}

    def resolve(self, including: str, name: str) -> str | None:
        """The file that an include means, or None if it is not one of ours."""
        folder = str(PurePosixPath(including).parent)
        top = including.split("/")[0]
        prefixes = [f"{folder}/", "libshmq/", "", "libshmq/include/", f"{top}/"]
        if top == "bench":
            prefixes.append("tests/")  # it shares the daemon of the tests' support/
        for prefix in prefixes:
            candidate = os.path.normpath(prefix + name)
            if candidate in self.paths:
                return candidate
        return None


def room_of(path: str) -> str | None:
    """The room a file is in; None for what may see everything (tests) or has no includes."""
    parts = path.split("/")
    if parts[0] == "libshmq" and len(parts) > 2:
        return parts[1]
    return parts[0] if parts[0] in ALLOWED else None


def may_include(room: str, target: str) -> bool:
    """Whether a file of `room` may include the file `target`, both inside the tree."""
    if room_of(target) == room:
        return True
    inner = target.removeprefix("libshmq/")
    stem = str(PurePosixPath(inner).with_suffix(""))
    return any(stem == door or inner.startswith(door + "/") for door in ALLOWED[room])


# --- the rules; each yields findings --------------------------------------------------------------


def check_sizes(source: Source, tree: Tree) -> Iterator[Finding]:
    if source.suffix in SIZED_SUFFIXES and len(source.lines) > FILE_LINES_MAX:
        yield Finding(source.path, FILE_LINES_MAX + 1,
                      f"file of {len(source.lines)} lines, at most {FILE_LINES_MAX}; "
                      "split it where its second idea begins")
    for function in source.functions():
        if function.lines > FUNCTION_LINES_MAX:
            yield Finding(source.path, function.first,
                          f"function {function.name} of {function.lines} lines, at most "
                          f"{FUNCTION_LINES_MAX}; keep the branches, move the leaves out")


def check_include_direction(source: Source, tree: Tree) -> Iterator[Finding]:
    room = room_of(source.path)
    if not source.is_code or room is None:
        return
    for line, bracket, name in source.includes():
        target = tree.resolve(source.path, name)
        if target is None:
            if bracket == '"' and source.path != "libshmq/shm/atomic.hpp":
                yield Finding(source.path, line,
                              f'"{name}" is no file of ours; write it relative to libshmq/ or the '
                              "root, and other people's headers in <>")
            continue
        if source.path == "libshmq/shm/atomic.hpp" and target.startswith("tests/schedule/"):
            continue
        if not may_include(room, target):
            allowed = ", ".join(sorted(ALLOWED[room])) or "nothing"
            yield Finding(source.path, line,
                          f"{room} must not include {target}: besides itself it may include "
                          f"{allowed}; move the code to the room that owns it, or pass a value in")


def check_public_headers(source: Source, tree: Tree) -> Iterator[Finding]:
    if not source.path.startswith("libshmq/include/"):
        return
    for line, _, name in source.includes():
        standard = re.fullmatch(r"[a-z_]+", name) or name in C_HEADERS
        if not standard and not name.startswith("shmq/"):
            yield Finding(source.path, line,
                          f"public header includes {name}; only <shmq/...> and the standard "
                          "library, so that users inherit nothing: hide it in client/")


def check_doors(source: Source, tree: Tree) -> Iterator[Finding]:
    """Things that exactly one file may touch."""
    path = source.path
    if not source.is_code or not path.startswith(("libshmq/", "daemon/", "cli/")):
        return
    for line, _, name in source.includes():
        if name == "atomic" and path.startswith("libshmq/shm/") and \
                path != "libshmq/shm/atomic.hpp":
            yield Finding(path, line, "<atomic> in shm/; include shm/atomic.hpp, which the "
                                      "schedule tests replace")
        if name.startswith("liburing") and path not in LIBURING_FILES:
            yield Finding(path, line, "liburing outside its two doors; use daemon/io/io.hpp "
                                      "or daemon/journal/engine.hpp")
        if name.startswith("boost/") and not re.match(r"libshmq/shm/segment\.[ch]pp$", path):
            yield Finding(path, line, "Boost outside shm/segment; ask the segment for the mapping")


def check_shm_system_calls(source: Source, tree: Tree) -> Iterator[Finding]:
    path = source.path
    if not path.startswith("libshmq/shm/") or path in SYSTEM_CALL_FILES or not source.is_code:
        return
    remedy = "in shm/ only segment.cpp and wait.cpp make system calls; call them, or take a value"
    for line, _, name in source.includes():
        if SYSTEM_CALL_HEADER.match(name):
            yield Finding(path, line, f"<{name}> here; {remedy}")
    for line, text in enumerate(source.code.splitlines(), 1):
        if re.search(r"\bsyscall\s*\(", text):
            yield Finding(path, line, f"syscall() here; {remedy}")


def check_wall_clock(source: Source, tree: Tree) -> Iterator[Finding]:
    """Setting the time of day moves no lease and no delay, for nothing but files outlives the machine."""
    if not source.path.startswith(("libshmq/", "daemon/")) or not source.is_code:
        return
    for line, text in enumerate(source.code.splitlines(), 1):
        found = WALL_CLOCK.search(text)
        if found and source.path not in WALL_CLOCK_FILES:
            yield Finding(source.path, line, f"{found[0]} can be set back; base/clock.hpp cannot")


def check_text(source: Source, tree: Tree) -> Iterator[Finding]:
    """What no file of ours has, whatever its kind."""
    if source.path == "LICENSE":
        return
    exempt = source.path.startswith("tests/tidy/")
    for number, line in enumerate(source.lines, 1):
        if match := re.search(r"\b(TODO|XXX|FIXME)\b", line):
            if not exempt:
                yield Finding(source.path, number,
                              f"{match[0]}; do it now, or file an issue and write nothing")
        if re.search(r"(?<![\w.~$}/-])/(home|root|work|Users)(/\w|\b(?=[\"' ]|$))",
                     line) and not exempt:
            yield Finding(source.path, number,
                          "path of one machine; make it relative, or take it from the environment")
        if line != line.rstrip():
            yield Finding(source.path, number, "blanks at the end of the line; delete them")
    if source.text and not source.text.endswith("\n"):
        yield Finding(source.path, len(source.lines), "no newline at the end; add it")


Rule = Callable[[Source, Tree], Iterator[Finding]]
RULES: list[Rule] = [check_sizes, check_include_direction, check_public_headers, check_doors,
                     check_shm_system_calls, check_wall_clock, check_text]


def check(files: dict[str, str]) -> list[Finding]:
    """All findings in a tree given as path -> text."""
    tree = Tree([Source(path, text) for path, text in sorted(files.items())])
    return [finding for source in tree.sources for rule in RULES for finding in rule(source, tree)]


def read_tree(root: Path) -> dict[str, str]:
    """Tracked files, and new ones that are not ignored: they are about to be tracked."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], cwd=root, capture_output=True, check=False)
    if listing.returncode == 0:
        paths = [os.fsdecode(path) for path in listing.stdout.split(b"\0") if path]
    else:  # an unpacked archive
        paths = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        paths = [path for path in paths if not path.startswith(("build/", ".git/"))]
    files = {}
    for path in set(paths):
        try:
            files[path] = (root / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # binary, or deleted and not yet committed
    return files


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    files = read_tree(root)
    findings = check(files)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings in {len(files)} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
