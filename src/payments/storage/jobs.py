"""The rows of jobs (`runtime/jobs.py`)."""

import os
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from payments.runtime.jobs import LEASE_SECONDS, Ended, Job, JobState
from payments.runtime.logging import Logger
from payments.storage.database import Pool, Queries
from payments.storage.sql import queries

_SQL = queries("jobs.sql")
_NAME = re.compile(r"[a-z][a-z0-9 ]*")
_REPORT_SECONDS = 300.0

_encode = msgspec.json.Encoder().encode


class PostgresJobs:
    """A `JobBook` of one service, for one of its copies."""

    def __init__(self, pool: Pool, service: str, jobs: Sequence[Job]) -> None:
        self._pool = pool
        self._service = service
        self._jobs = jobs
        self._names = [job.name for job in jobs]
        self._holder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
        """No two copies are called the same, and people find the one that is meant."""
        self._turn = _SQL["turn"].replace("{conditions}", _conditions(jobs))

    async def declare(self) -> None:
        """Have a row for each, and forget those that no code does any more."""
        declared = [{"name": job.name, "every_seconds": job.every_seconds, "shared": job.shared} for job in self._jobs]
        await self._pool.execute(_SQL["declare"], self._service, _encode(declared).decode())
        await self._pool.execute(_SQL["forget"], self._service, self._names)

    async def turn(
        self, *, ended: Sequence[Ended], kept: Mapping[str, bool], free: Sequence[str], woken: Sequence[str]
    ) -> Mapping[str, JobState]:
        """Record what ended and what goes on, and take what is due."""
        rows = await self._pool.fetch(
            self._turn,
            self._service,
            self._holder,
            LEASE_SECONDS,
            _encode([asdict(each) for each in ended]).decode(),
            _encode([{"name": name, "moved": moved} for name, moved in kept.items()]).decode(),
            list(free),
            self._names,
            list(woken),
        )
        return {row["name"]: JobState(**{name: row[name] for name in ("taken", "failures", "due_seconds", "late_seconds")}) for row in rows}

    async def give_back(self) -> None:
        """Leave what was taken to others, at once."""
        await self._pool.execute(_SQL["give_back"], self._service, self._holder)


def reporting(pool: Pool, log: Logger) -> Job:
    """Return a job that logs how a service's jobs are, now and then: where nobody can ask the database, the log tells."""

    async def tell() -> int:
        for state in await job_states(pool):
            log.event("job", **state.shown())
        return 0

    return Job(name="report jobs", work=tell, every_seconds=_REPORT_SECONDS, housekeeping=True)


@dataclass(frozen=True, slots=True)
class JobPlace:
    """How far a job has come that does a part at a time."""

    pool: Pool
    service: str
    name: str

    async def read(self) -> Any:
        """Return it; None at the beginning."""
        place: str | None = await self.pool.fetchval(_SQL["read_place"], self.service, self.name)
        return None if place is None else msgspec.json.decode(place)

    async def write(self, place: Any) -> None:
        """Go on from there the next time, whichever copy does."""
        await self.pool.execute(_SQL["write_place"], self.service, self.name, _encode(place).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownJob:
    """A job, for people. Times are unix seconds."""

    service: str
    name: str
    state: str
    """`running`, `failing`, `late` or `ok`."""
    every_seconds: float
    shared: bool
    last_run: float | None
    last_success: float | None
    next_run: float
    seconds: float | None
    """How long it took the last time."""
    rows_done: int | None
    rows_put_off: int | None
    failures: int
    """In a row."""
    last_failure: float | None
    last_error: str | None

    def shown(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


async def job_states(connection: Queries) -> list[ShownJob]:
    """Return the jobs that this role may see: its own service's, or for the owner all."""
    return [ShownJob(**{name: row[name] for name in ShownJob.__dataclass_fields__}) for row in await connection.fetch(_SQL["states"])]


def _conditions(jobs: Sequence[Job]) -> str:
    for job in jobs:
        if not _NAME.fullmatch(job.name):
            raise ValueError(f"a job can't be called {job.name!r}")
    conditions = [f"WHEN '{job.name}' THEN ({_SQL[f'waiting_{job.waits}']})" for job in jobs if job.waits is not None]
    return " ".join(conditions or ["WHEN NULL THEN true"])
