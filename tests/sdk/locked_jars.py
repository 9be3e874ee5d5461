"""Holds jars against a lock: `python locked_jars.py LOCK DIRECTORY`.

A lock has one line a jar, `group:artifact:version sha256:digest`. Maven 3.8 resolves what a pom asks for, and keeps no record of what it was.
"""

import hashlib
import sys
from pathlib import Path


def faults(lock: Path, directory: Path) -> list[str]:
    """What isn't as locked. Maven's `prependGroupId` names the files."""
    locked: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        coordinates, digest = line.split()
        group, artifact, version = coordinates.split(":")
        locked[f"{group}.{artifact}-{version}.jar"] = digest
    there = {path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in directory.glob("*.jar")}
    return [
        f"{name}: {there.get(name, 'not there')}, and {lock.name} says {locked.get(name, 'nothing of it')}"
        for name in sorted(locked.keys() | there.keys())
        if locked.get(name) != there.get(name)
    ]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(bool(found))
