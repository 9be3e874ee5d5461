"""Becomes a program that is confined as a container's is: `python confined.py UID GID -- PROGRAM …`, for root on Linux.

A read-only root file system with a /tmp of its own, no root, and an end when the parent ends. Standard library only, and run without site-packages.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _open_the_way_to(path: Path) -> None:
    """Let everybody reach the interpreter, which may be in root's home: what closes the way is covered by a directory that has nothing else."""
    closed = next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)
    if closed is None:
        return
    kept = os.open(path, os.O_PATH)
    _mount("tmpfs", str(closed), "tmpfs", 0, "mode=755")
    path.mkdir(parents=True)
    _mount(f"/proc/self/fd/{kept}", str(path), "", _MS_BIND | _MS_REC)
    os.close(kept)


def main() -> None:
    uid, gid = (int(argument) for argument in sys.argv[1:3])
    if _libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    directory = Path.cwd()
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _open_the_way_to(Path(sys.base_prefix).resolve())
    _mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777")
    _mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    os.chdir(directory)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    os.execv(sys.argv[4], sys.argv[4:])


if __name__ == "__main__":
    main()
