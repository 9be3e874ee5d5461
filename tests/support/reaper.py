"""Waits for the end of the tests that started it, and then ends every `tap up` of theirs that is left: `python -m tests.support.reaper MARK`.

A `tap up --detach` is nobody's child, on purpose. It is known by the mark in its environment, which it inherited from the tests.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

MARK = "STARTED_BY_TESTS"
"""The variable; its value is the process id of the tests."""


@contextmanager
def reaping() -> Generator[None]:
    """Whatever ends this process, no `tap up` of its goes on; a session of its own keeps the reaper from what ends it."""
    os.environ[MARK] = str(os.getpid())
    command = [sys.executable, "-m", "tests.support.reaper", os.environ[MARK]]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, start_new_session=True):
        yield


def left_by(mark: str) -> list[psutil.Process]:
    """Every supervisor that these tests started, or one that they started."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.cmdline()[2:4] == ["payments.cli", "up"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def main() -> None:
    sys.stdin.read()  # its other end closes with the tests, whatever ends them
    for process in left_by(sys.argv[1]):
        process.terminate()


if __name__ == "__main__":
    main()
