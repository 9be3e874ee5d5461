"""Processes of the tests' own that end when the tests do, even if those are killed (on Linux)."""

import os
import signal
import sys
from pathlib import Path

from payments import cli

_CHILD = Path(cli.__path__[0]) / "child.py"


def ends_with_us(*command: str | Path, stopped_by: signal.Signals = signal.SIGTERM, user: tuple[int, int] | None = None) -> list[str]:
    """Return a command that becomes `command`, as `user`, and is sent `stopped_by` by the kernel when this process is gone."""
    uid, gid = user or (-1, -1)
    prefix = [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), str(int(stopped_by)), str(uid), str(gid), "--"]
    return [*prefix, *(str(part) for part in command)]
