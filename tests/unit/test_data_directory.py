"""Who has the data directory of a local run."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from payments.cli.data_directory import DataDirectory, UsageError


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "tap")
    made.create()
    return made


def test_one_run_has_a_directory(directory: DataDirectory) -> None:
    assert not directory.is_locked()
    lock = directory.lock()
    assert directory.is_locked()
    with pytest.raises(UsageError, match="already"):
        directory.lock()
    with pytest.raises(UsageError, match="isn't running"):
        directory.run()  # it has said nothing yet
    os.close(lock)
    assert not directory.is_locked()


def test_who_only_asks_keeps_nobody_from_running(directory: DataDirectory) -> None:
    os.close(directory.lock())
    asking = os.open(directory.path / "lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not directory.is_locked()
    gone = threading.Timer(0.2, os.close, (asking,))
    gone.start()
    os.close(directory.lock())
    gone.join()
