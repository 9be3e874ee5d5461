"""The rows of jobs in memory: what `PostgresJobs` does, for tests that are about who does them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from payments.runtime.jobs import LEASE_SECONDS, Ended, Job, JobState


@dataclass(slots=True)
class Row:
    job: Job
    due: float
    holder: str | None = None
    lease_until: float = 0.0
    failures: int = 0
    succeeded: float = 0.0


@dataclass(slots=True)
class Rows:
    """What all copies share."""

    now: Callable[[], float]
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    ended: list[Ended] = field(default_factory=list[Ended])

    def failures(self, name: str) -> int:
        """How often a job failed in a row."""
        return self.rows[name].failures if name in self.rows else 0

    def book(self, holder: str, jobs: Sequence[Job]) -> "MemoryJobs":
        return MemoryJobs(self, holder, jobs)


@dataclass(slots=True)
class MemoryJobs:
    """A `JobBook`."""

    shared: Rows
    holder: str
    jobs: Sequence[Job]

    async def declare(self) -> None:
        for job in self.jobs:
            self.shared.rows.setdefault(job.name, Row(job, self.shared.now(), succeeded=self.shared.now()))

    async def turn(
        self, *, ended: Sequence[Ended], kept: Mapping[str, bool], free: Sequence[str], woken: Sequence[str]
    ) -> Mapping[str, JobState]:
        now, rows, taken = self.shared.now(), self.shared.rows, set[str]()
        for each in ended:
            row = rows[each.name]
            if row.job.shared or row.holder == self.holder:
                self.shared.ended.append(each)
                row.holder, row.lease_until = None, 0.0
                row.failures = 0 if each.error_kind is None else row.failures + 1
                row.succeeded = now if each.error_kind is None else row.succeeded
                row.due = now + (row.job.every_seconds if each.due_seconds is None else each.due_seconds)
        for name in kept:
            if rows[name].holder == self.holder:
                rows[name].lease_until = now + LEASE_SECONDS
        for name in free:
            row = rows[name]
            if (row.due <= now or name in woken) and row.lease_until <= now:
                taken.add(name)
                row.holder = self.holder
                row.lease_until, row.due = (0.0, now + row.job.every_seconds) if row.job.shared else (now + LEASE_SECONDS, now)
        return {
            name: JobState(
                taken=name in taken,
                failures=row.failures,
                due_seconds=max(row.due, row.lease_until) - now,
                late_seconds=now - row.succeeded - row.job.every_seconds,
            )
            for name, row in rows.items()
        }

    async def give_back(self) -> None:
        for row in self.shared.rows.values():
            if row.holder == self.holder:
                row.holder, row.lease_until, row.due = None, 0.0, self.shared.now()
