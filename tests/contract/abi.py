#!/usr/bin/env python3
"""libshmq.so exports what libshmq/libshmq.symbols says, each name under its version, and no more.

Usage: abi.py LIBRARY [--accept]. A name that is missing breaks programs that were linked with it. A new
one belongs to the promise from its first release on: look at it, then run this with --accept, which
adds it to the file. Nothing here takes a name out.
"""

import re
import subprocess
import sys
from pathlib import Path

KEPT = Path(__file__).resolve().parents[2] / "libshmq" / "libshmq.symbols"


def exported(library: str) -> set[str]:
    listing = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                             capture_output=True, text=True, check=True)
    names = set()
    for line in listing.stdout.splitlines():
        _, kind, name = line.split(maxsplit=2)
        # Weak ones (W) are copies of what headers define: users have them, too. The version's own
        # name is absolute (A).
        if kind not in "WA":
            names.add(re.sub("@@", "@", name))
    return names


def main() -> int:
    now = exported(sys.argv[1])
    kept = {line for line in KEPT.read_text().splitlines() if line and not line.startswith("#")}
    missing, new = sorted(kept - now), sorted(now - kept)
    unversioned = [name for name in sorted(now) if "@SHMQ_" not in name]
    for name in missing:
        print(f"no longer exported, and somebody may use it: {name}")
    for name in unversioned:
        print(f"exported without a version: {name}")
    if "--accept" in sys.argv and not missing and not unversioned:
        header = [line for line in KEPT.read_text().splitlines() if line.startswith("#")]
        KEPT.write_text("\n".join(header + sorted(now)) + "\n")
        print(f"added {len(new)} names to {KEPT.name}")
        return 0
    for name in new:
        print(f"exported, but not in {KEPT.name} (see --help of {Path(__file__).name}): {name}")
    print(f"{len(now)} names exported, {len(missing)} missing, {len(new)} new")
    return 1 if missing or new or unversioned else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or "--help" in sys.argv:
        sys.exit(__doc__)
    sys.exit(main())
