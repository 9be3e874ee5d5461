"""Where the tests keep what they throw away."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

_IN_MEMORY = Path("/dev/shm")
_FREE_BYTES_MIN = 8 * 2**30
_MEMORY_BYTES_MIN = 12 * 2**30
"""For the databases of all workers, and what else the machine is there for."""


def keep_in_memory() -> None:
    """Keep it in memory where there is plenty of that, unless it is said where: databases that come and go cost half as much there."""
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK):
        return
    runs_nothing = os.statvfs(_IN_MEMORY).f_flag & os.ST_NOEXEC
    if runs_nothing or shutil.disk_usage(_IN_MEMORY).free < _FREE_BYTES_MIN or psutil.virtual_memory().available < _MEMORY_BYTES_MIN:
        return
    # Pytest's own directories have long names, and sockets in them may have no longer ones.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = str(_IN_MEMORY)
    tempfile.tempdir = None  # it is looked up anew
