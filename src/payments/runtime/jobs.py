"""Work that is done by the clock: each job is a row that says when it is due, so that copies of a service share them and none is forgotten.

A job that one copy does at a time is leased, and goes on elsewhere when its copy is gone. One of which every row is taken by one copy alone is shared: a
copy that finds it due does a part, and so do the others while there is more. Nobody waits for a turn longer than until the next job is due.
"""

import asyncio
import contextlib
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from payments.runtime.background import QUIET_SECONDS_MAX, Background, Beat
from payments.runtime.logging import Logger
from payments.runtime.rows import counted_failures

LEASE_SECONDS = 15.0
"""How long after its last sign of life a copy's jobs are taken over."""
_RENEW_SECONDS = 5.0
_TURN_SECONDS_MIN, _TURN_SECONDS_MAX = 0.25, 30.0
"""Between two turns: the first when another copy has in hand what is due, the second to show that the scheduler is alive."""
_LATE_SECONDS = 0.01
"""So that a turn doesn't come a little before what it is for is due."""
BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Before a job is tried again, by how often it failed; never more than five seconds beyond its own interval."""
_BACK_OFF_SECONDS_MIN = 5.0


class PartFailed(Exception):
    """Something outside failed a part of a job, and all else was done: that is told as any failure is, and no reason to send requests elsewhere, where it fails, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a service does by the clock."""

    name: str
    """Unique in its service; explained in docs/runbook.md, since it is what logs, health and `tap status` say."""
    work: Callable[[], Awaitable[int]]
    """Does a part, and returns of how many rows: it is called again at once until there is nothing left. What it raises is logged and tried again."""
    every_seconds: float
    """At whole multiples of it since 1970, so that what is due together is found together."""
    shared: bool = False
    """Copies may do parts of it at once; else one copy at a time does it."""
    waits: str | None = None
    """What to ask first, in the statement that finds the job due: `waiting_…` of jobs.sql. Without it the job is always begun."""
    housekeeping: bool = False
    """That it fails is told, and is no reason to send requests elsewhere."""
    rests: float = 0.0
    """After a part, for so many times as long as that took: what others wait for goes on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job went."""

    name: str
    seconds: float
    rows_done: int
    rows_put_off: int
    error_kind: str | None = None
    error_place: str | None = None
    """Where it failed: a file, a line and a function. An error's own text may quote data, and is kept nowhere."""
    due_seconds: float | None = None
    """When it is tried again; None: when it is due by its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job as a turn leaves it."""

    taken: bool
    """This copy is to do it."""
    failures: int
    """In a row, whoever did it."""
    due_seconds: float
    late_seconds: float
    """Since it should have succeeded again; below 0 until then."""


class JobBook(Protocol):
    """The rows of a service's jobs."""

    async def declare(self) -> None:
        """Have a row for each."""
        ...

    async def turn(
        self, *, ended: Sequence[Ended], kept: Mapping[str, bool], free: Sequence[str], woken: Sequence[str]
    ) -> Mapping[str, JobState]:
        """Record what ended, and what goes on, with whether it got on; take what is due, or was woken, of those that are free. Returns all of them."""
        ...

    async def give_back(self) -> None:
        """Leave what was taken to others."""
        ...


@dataclass(slots=True)
class _Running:
    task: "asyncio.Task[None]"
    moved_at: float
    moved: bool = False
    """It did a part since that was last recorded."""


class Scheduler:
    """Does the jobs of one copy."""

    def __init__(self, jobs: Sequence[Job], book: JobBook, log: Logger, *, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns seconds that never go backwards."""
        self._jobs = {job.name: job for job in jobs}
        self._book = book
        self._log = log
        self._now = now
        self._running: dict[str, _Running] = {}
        self._ended: list[Ended] = []
        self._woken: set[str] = set()
        self._failures: dict[str, int] = {}
        self._down: set[str] = set()
        self._late: dict[str, float] = {}
        self._turned_at = now()
        self._noticed = asyncio.Event()

    def keep(self, background: Background) -> None:
        """Do them for ever; a job that failed here, and neither got on since nor was done elsewhere, is a fault unless it is housekeeping, and so is one that hangs."""
        background.keep("jobs", self.run)
        for name in self._jobs:
            background.watch(name, lambda name=name: self._quiet_seconds(name), is_down=lambda name=name: name in self._down)

    def wake(self, name: str) -> None:
        """There is something to do: a job is due at once, here or where it is done."""
        if name not in self._jobs:
            raise LookupError(name)
        self._woken.add(name)
        self._noticed.set()

    def failures(self, name: str) -> int:
        """Return how often in a row a job failed, whoever did it, as the last turn found it."""
        return self._failures.get(name, 0)

    @property
    def overdue_seconds(self) -> float:
        """For how long the job that waits longest should have been done again, whether nobody does it or it fails."""
        since = self._now() - self._turned_at
        return max((0.0, *(late + since for late in self._late.values())))

    async def run(self, beat: Beat) -> None:
        """Do them until it is cancelled; raises what the database does."""
        try:
            await self._book.declare()
            while True:
                self._noticed.clear()
                pause_seconds = await self._turn()
                beat()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_seconds):
                        await self._noticed.wait()
        except asyncio.CancelledError:
            await self._stop()
            raise

    async def _turn(self) -> float:
        """Take what is due; returns for how long nothing else will be."""
        ended, self._ended = self._ended, []
        kept = {name: each.moved for name, each in self._running.items() if self._quiet_seconds(name) < QUIET_SECONDS_MAX}
        busy = {*self._running, *(each.name for each in ended)}
        free = [name for name in self._jobs if name not in busy]
        woken = [name for name in free if name in self._woken]
        try:
            states = await self._book.turn(ended=ended, kept=kept, free=free, woken=woken)
        except BaseException:
            self._ended = [*ended, *self._ended]
            raise
        self._turned_at = self._now()
        self._woken.difference_update(woken)
        for name, moved in kept.items():
            if moved and name in self._running:
                self._running[name].moved = False
        for name, state in states.items():
            self._late[name] = state.late_seconds
            if name in free or any(each.name == name for each in ended):
                self._failures[name] = state.failures
                if state.failures == 0:
                    self._down.discard(name)
            if state.taken:
                self._begin(self._jobs[name])
        if self._ended or self._woken - self._running.keys():
            return 0.0
        waits = [state.due_seconds + _LATE_SECONDS for name, state in states.items() if name not in self._running]
        soonest = max(min(waits, default=_TURN_SECONDS_MAX), _TURN_SECONDS_MIN)
        return min(soonest, _RENEW_SECONDS if self._running else _TURN_SECONDS_MAX)

    def _begin(self, job: Job) -> None:
        task = asyncio.create_task(self._run(job), name=f"job {job.name}")
        self._running[job.name] = _Running(task, self._now())

    async def _run(self, job: Job) -> None:
        began, done, failure = self._now(), 0, None
        with counted_failures() as put_off:
            try:
                done = await self._parts(job)
            except asyncio.CancelledError as cancelled:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                failure = cancelled  # something that it waited for was
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is tried again
                failure = raised
        self._running.pop(job.name, None)
        seconds = self._now() - began
        if failure is None:
            self._down.discard(job.name)
            self._ended.append(Ended(name=job.name, seconds=seconds, rows_done=done, rows_put_off=put_off.count))
        else:
            if not job.housekeeping and not isinstance(failure, PartFailed):
                self._down.add(job.name)
            self._ended.append(self._failed(job, failure, seconds, put_off.count))
        self._noticed.set()

    async def _parts(self, job: Job) -> int:
        """Do all that there is of a job; returns how much it was."""
        running, done = self._running[job.name], 0
        while True:
            began = self._now()
            found = await job.work()
            done += found
            running.moved, running.moved_at = True, self._now()
            # It gets on, however long it takes until nothing is left: others go on making work for it.
            self._down.discard(job.name)
            if not found:
                return done
            await asyncio.sleep(job.rests * (self._now() - began))

    def _failed(self, job: Job, failure: BaseException, seconds: float, put_off: int) -> Ended:
        failures = self._failures.get(job.name, 0)
        self._log.error(job.name, failure, failures=failures + 1)
        again = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
        return Ended(
            name=job.name,
            seconds=seconds,
            rows_done=0,
            rows_put_off=put_off,
            error_kind=type(failure).__qualname__,
            error_place=_place(failure),
            due_seconds=min(again, max(job.every_seconds, _BACK_OFF_SECONDS_MIN)),
        )

    def _quiet_seconds(self, name: str) -> float:
        running = self._running.get(name)
        return 0.0 if running is None else self._now() - running.moved_at

    async def _stop(self) -> None:
        tasks = [each.task for each in self._running.values()]
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # the leases run out
            await self._book.give_back()


def _place(failure: BaseException) -> str | None:
    frames = deque(traceback.walk_tb(failure.__traceback__), 1)
    return next((f"{PurePath(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}" for frame, line in frames), None)
