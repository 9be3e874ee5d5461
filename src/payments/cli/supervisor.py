"""Keeps processes running: whatever dies is started again, with back-off, until all are stopped."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from payments.cli.private_files import open_private

_BACK_OFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STABLE_SECONDS = 10.0
"""A process that ran this long starts with the shortest back-off again."""
_CHILD = Path(__file__).with_name("child.py")


@dataclass(slots=True)
class Program:
    """How one process is started and stopped."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    stop_signal: int = signal.SIGTERM
    stop_seconds_max: float = 35.0
    user: tuple[int, int] | None = None
    """Uid and gid to run as, when this process is root and the program refuses to be."""


@dataclass(slots=True)
class _Supervised:
    program: Program
    task: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    stopping: bool = field(default=False)


class Supervisor:
    """Starts, restarts and stops programs."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called after every start of a process."""
        self._supervised: dict[str, _Supervised] = {}
        self._on_change = on_change

    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        supervised = self._supervised[program.name] = _Supervised(program)
        supervised.task = asyncio.create_task(self._keep(supervised), name=f"supervise {program.name}")

    def pid(self, name: str) -> int | None:
        """Return the process id of a program; None while it isn't running."""
        supervised = self._supervised.get(name)
        process = None if supervised is None else supervised.process
        return None if process is None or process.returncode is not None else process.pid

    def starts(self, name: str) -> int:
        """Return how often a program was started."""
        return self._supervised[name].starts

    async def stop(self, *names: str) -> None:
        """Stop programs at once; those that take too long are killed."""
        await asyncio.gather(*(self._stop(self._supervised.pop(name)) for name in names if name in self._supervised))

    async def _keep(self, supervised: _Supervised) -> None:
        failures = 0
        while not supervised.stopping:
            started = time.monotonic()
            process = supervised.process = await _start(supervised.program)
            supervised.starts += 1
            self._on_change()
            await process.wait()
            failures = 0 if time.monotonic() - started > _STABLE_SECONDS else failures + 1
            if not supervised.stopping:
                await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS)) - 1] if failures else _BACK_OFF_SECONDS[0])

    async def _stop(self, supervised: _Supervised) -> None:
        supervised.stopping = True
        process, task = supervised.process, supervised.task
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(supervised.program.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), supervised.program.stop_seconds_max)
            except TimeoutError:
                process.kill()
                await process.wait()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _start(program: Program) -> asyncio.subprocess.Process:
    uid, gid = program.user or (-1, -1)
    with open_private(program.log, append=True) as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_CHILD),
            str(os.getpid()),
            str(int(program.stop_signal)),
            str(uid),
            str(gid),
            "--",
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(program.environment),
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops its children in order
        )
