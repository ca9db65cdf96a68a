#!/usr/bin/env python3
"""Runs clang-tidy on what changed, then on a sample of the rest until the time is used up.

Which files the sample takes depends on the commit alone, so that a finding can be repeated, and
over the commits every file gets its turn.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "tidy"


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    return done.stdout.split() if done.returncode == 0 else []


def compile_commands() -> list[str]:
    """All sources of a build without precompiled headers: GCC's mean nothing to clang."""
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DSHMQ_TESTS=ON",
                    "-DSHMQ_BENCH=ON", "-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON"],
                   stdout=subprocess.DEVNULL, check=True)
    database = json.loads((BUILD / "compile_commands.json").read_text())
    return sorted({str(Path(entry["file"]).relative_to(ROOT)) for entry in database})


def changed_stems() -> set[str]:
    """Changed since the main line, or by the last commit; a header stands for its source."""
    base = git("merge-base", "HEAD", "origin/main") or git("rev-parse", "HEAD")
    if base == git("rev-parse", "HEAD"):
        base = git("rev-parse", "--verify", "-q", "HEAD~1") or base
    changed = git("diff", "--name-only", *base)
    changed += git("ls-files", "--others", "--exclude-standard")
    return {str(Path(path).with_suffix("")) for path in changed}


def in_order(sources: list[str]) -> list[str]:
    stems = changed_stems()
    first = [source for source in sources if str(Path(source).with_suffix("")) in stems]
    rest = [source for source in sources if source not in first]
    random.Random("".join(git("rev-parse", "HEAD"))).shuffle(rest)
    return first + rest


def check(source: str) -> bool:
    # clang 14 knows C++23 by its working title only, and cannot read GCC 12's <expected>.
    standard = [] if source.endswith(".c") else [
        "--extra-arg=-std=c++2b", f"--extra-arg-before=-isystem{ROOT}/tests/tidy/clang14"]
    # The build names warnings of GCC's that clang does not know.
    unknown = "--extra-arg=-Wno-unknown-warning-option"
    done = subprocess.run(["clang-tidy", "--quiet", "-p", BUILD, unknown, *standard, ROOT / source],
                          capture_output=True, text=True, check=False)
    print(f"{'ok' if done.returncode == 0 else 'FAILED':6} {source}", flush=True)
    if done.returncode != 0:
        print(done.stdout.replace(f"{ROOT}/", ""), flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every file, however long it takes")
    parser.add_argument("--seconds", type=float, default=150, help="start no file after this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*", help="these files instead")
    options = parser.parse_args()

    sources = compile_commands()
    deadline = time.monotonic() + options.seconds

    def check_in_time(source: str) -> bool | None:
        if not options.all and not options.files and time.monotonic() > deadline:
            return None
        return check(source)

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(check_in_time, options.files or in_order(sources)))
    print(f"clang-tidy: {results.count(True)} files clean, {results.count(False)} with findings, "
          f"{results.count(None)} left for another time")
    return 1 if False in results else 0


if __name__ == "__main__":
    sys.exit(main())
